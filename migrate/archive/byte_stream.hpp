#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct archive;

namespace drover {

/// Bytes that come once and in order.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `size` bytes; at least one, but for the end of all: 0, again and again. Throws Error if what is
  /// read is damaged, SystemError if it cannot be read.
  virtual std::size_t read(char* to, std::size_t size) = 0;
};

/// Where bytes go; throws what keeps them from going there.
using ByteSink = std::function<void(std::string_view)>;

/// Reads exactly `size` bytes. Throws Error "`what` ends too early" where there are fewer.
void read_exactly(ByteSource&, char* to, std::size_t size, const char* what);
/// Reads and forgets the rest, however much it is.
void drain(ByteSource&);

/// What a descriptor has, which must outlive this.
class FdSource : public ByteSource {
 public:
  FdSource(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  std::size_t read(char* to, std::size_t size) override;

 private:
  int fd_;
  std::string name_;
};

/// A string's bytes; it must outlive this.
class TextSource : public ByteSource {
 public:
  explicit TextSource(std::string_view text) : rest_(text) {}
  std::size_t read(char* to, std::size_t size) override;

 private:
  std::string_view rest_;
};

/// Writes all of it. Throws SystemError.
void write_all(int fd, std::string_view bytes, const char* what);

/// Undoes zstd or gzip, found out by the stream's first bytes; anything else is passed on as it is.
class Decompressor : public ByteSource {
 public:
  /// `from` must outlive this.
  explicit Decompressor(ByteSource& from);
  ~Decompressor() override;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  std::size_t read(char* to, std::size_t size) override;

 private:
  static ssize_t more(struct archive*, void* self, const void** block);
  [[noreturn]] void fail();
  ByteSource& from_;
  std::unique_ptr<char[]> block_;
  std::exception_ptr failure_;  ///< of `from`, on its way through C
  struct archive* archive_;
  bool ended_ = false;
};

enum class Compression { none, gzip, zstd };

/// Compresses what it is given: the same bytes give the same result, whatever number of threads did it.
class Compressor {
 public:
  Compressor(Compression, unsigned threads, ByteSink to);
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  void write(std::string_view bytes);
  /// To be called once all is written.
  void finish();

 private:
  static ssize_t put(struct archive*, void* self, const void* bytes, std::size_t size);
  [[noreturn]] void fail();
  ByteSink to_;
  std::exception_ptr failure_;
  struct archive* archive_;
};

}  // namespace drover
