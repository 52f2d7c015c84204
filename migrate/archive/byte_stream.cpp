#include "migrate/archive/byte_stream.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"

namespace drover {

namespace {
constexpr std::size_t kStep = 256 << 10;
}

void read_exactly(ByteSource& source, char* to, std::size_t size, const char* what) {
  while (size > 0) {
    std::size_t n = source.read(to, size);
    if (n == 0) throw Error(std::string(what) + " ends too early");
    to += n;
    size -= n;
  }
}

void drain(ByteSource& source) {
  std::string block(kStep, '\0');
  while (source.read(block.data(), block.size()) > 0) check_interrupted();
}

std::size_t FdSource::read(char* to, std::size_t size) {
  for (;;) {
    wait_readable(fd_);
    ssize_t n = ::read(fd_, to, size);
    if (n >= 0) return static_cast<std::size_t>(n);
    check_interrupted();
    if (errno != EINTR) throw_errno("cannot read " + name_);
  }
}

std::size_t TextSource::read(char* to, std::size_t size) {
  size = std::min(size, rest_.size());
  std::memcpy(to, rest_.data(), size);
  rest_.remove_prefix(size);
  return size;
}

void write_all(int fd, std::string_view bytes, const char* what) {
  while (!bytes.empty()) {
    ssize_t n = disk::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) {
      check_interrupted();
      continue;
    }
    if (n < 0) throw_errno(std::string("cannot write ") + what);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

Decompressor::Decompressor(ByteSource& from)
    : from_(from), block_(std::make_unique_for_overwrite<char[]>(kStep)), archive_(::archive_read_new()) {
  if (!archive_) throw std::bad_alloc();
  ::archive_read_support_filter_gzip(archive_);
  ::archive_read_support_filter_zstd(archive_);
  ::archive_read_support_format_raw(archive_);
  ::archive_read_support_format_empty(archive_);
  ::archive_entry* entry = nullptr;
  int result = ::archive_read_open(archive_, this, nullptr, more, nullptr);
  if (result == ARCHIVE_OK) result = ::archive_read_next_header(archive_, &entry);
  if (result == ARCHIVE_EOF) {
    ended_ = true;
  } else if (result != ARCHIVE_OK) {
    try {
      fail();
    } catch (...) {
      ::archive_read_free(archive_);
      throw;
    }
  }
}

Decompressor::~Decompressor() { ::archive_read_free(archive_); }

ssize_t Decompressor::more(struct archive* archive, void* self, const void** block) {
  auto& me = *static_cast<Decompressor*>(self);
  try {
    *block = me.block_.get();
    return static_cast<ssize_t>(me.from_.read(me.block_.get(), kStep));
  } catch (...) {
    me.failure_ = std::current_exception();
    ::archive_set_error(archive, EIO, "cannot be read");
    return ARCHIVE_FATAL;
  }
}

void Decompressor::fail() {
  if (failure_) std::rethrow_exception(failure_);
  const char* why = ::archive_error_string(archive_);
  throw Error(std::string("its compressed data is damaged or cut off") +
              (why ? " (" + std::string(why) + ")" : ""));
}

std::size_t Decompressor::read(char* to, std::size_t size) {
  if (ended_) return 0;
  ssize_t n = ::archive_read_data(archive_, to, size);
  if (n < 0) fail();
  if (n == 0) ended_ = true;
  return static_cast<std::size_t>(n);
}

Compressor::Compressor(Compression how, unsigned threads, ByteSink to)
    : to_(std::move(to)), archive_(::archive_write_new()) {
  if (!archive_) throw std::bad_alloc();
  auto require = [&](int result) {
    if (result >= ARCHIVE_WARN) return;
    std::string why = ::archive_error_string(archive_) ? ::archive_error_string(archive_) : "";
    ::archive_write_free(archive_);
    throw Error("cannot compress: " + why);
  };
  require(::archive_write_set_format_raw(archive_));
  if (how == Compression::gzip) {
    require(::archive_write_add_filter_gzip(archive_));
    require(::archive_write_set_filter_option(archive_, "gzip", "timestamp", nullptr));
  }
  if (how == Compression::zstd) {
    require(::archive_write_add_filter_zstd(archive_));
    // One worker cuts the stream as several do, none does not.
    require(::archive_write_set_filter_option(archive_, "zstd", "threads",
                                              std::to_string(std::max(1U, threads)).c_str()));
  }
  require(::archive_write_set_bytes_per_block(archive_, 0));
  require(::archive_write_open(archive_, this, nullptr, put, nullptr));
  ::archive_entry* entry = ::archive_entry_new();
  ::archive_entry_set_filetype(entry, AE_IFREG);
  int result = ::archive_write_header(archive_, entry);
  ::archive_entry_free(entry);
  require(result);
}

Compressor::~Compressor() {
  // Nothing of what is still held back may go out: it would look like a whole stream.
  to_ = [](std::string_view) {};
  ::archive_write_free(archive_);
}

ssize_t Compressor::put(struct archive* archive, void* self, const void* bytes, std::size_t size) {
  auto& me = *static_cast<Compressor*>(self);
  try {
    me.to_({static_cast<const char*>(bytes), size});
    return static_cast<ssize_t>(size);
  } catch (...) {
    me.failure_ = std::current_exception();
    ::archive_set_error(archive, EIO, "cannot be written");
    return -1;
  }
}

void Compressor::fail() {
  if (failure_) std::rethrow_exception(failure_);
  const char* why = ::archive_error_string(archive_);
  throw Error(std::string("cannot compress") + (why ? ": " + std::string(why) : ""));
}

void Compressor::write(std::string_view bytes) {
  while (!bytes.empty()) {
    la_ssize_t n = ::archive_write_data(archive_, bytes.data(), bytes.size());
    if (n < 0) fail();
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void Compressor::finish() {
  if (::archive_write_close(archive_) != ARCHIVE_OK) fail();
}

}  // namespace drover
