#include "tests/support/tar_split_writer.hpp"

#include <nettle/base64.h>
#include <sys/mman.h>
#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace drover::test {

namespace {

constexpr std::size_t kBlock = 512;

std::size_t rounded(std::size_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

std::string_view text_field(std::string_view header, std::size_t at, std::size_t size) {
  std::string_view field = header.substr(at, size);
  return field.substr(0, field.find('\0'));
}

std::string ustar_name(std::string_view header) {
  std::string prefix(text_field(header, 345, 155));
  std::string name(text_field(header, 0, 100));
  return prefix.empty() ? name : prefix + "/" + name;
}

/// The value of `key` in the records of a pax header ("LENGTH KEY=VALUE\n" ...); empty if it is not there.
std::string pax_value(std::string_view records, std::string_view key) {
  while (!records.empty()) {
    std::size_t length = std::stoul(std::string(records.substr(0, records.find(' '))));
    std::string_view record = records.substr(0, length);
    records.remove_prefix(length);
    record.remove_prefix(record.find(' ') + 1);
    if (record.substr(0, record.find('=')) == key)
      return std::string(record.substr(key.size() + 1, record.size() - key.size() - 2));
  }
  return {};
}

/// CRC-64/ISO, bit by bit: written apart from the code under test.
std::string crc64_bytes(std::string_view content) {
  std::uint64_t crc = ~std::uint64_t{0};
  for (unsigned char byte : content) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xd800000000000000 : 0);
  }
  crc = ~crc;
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(crc >> shift);
  return bytes;
}

bool is_utf8(const std::string& text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

std::string from_base64(const std::string& text) {
  std::string bytes(BASE64_DECODE_LENGTH(text.size()), '\0');
  std::size_t size = bytes.size();
  base64_decode_ctx context;
  base64_decode_init(&context);
  if (!base64_decode_update(&context, &size, reinterpret_cast<uint8_t*>(bytes.data()), text.size(),
                            text.data()) ||
      !base64_decode_final(&context))
    throw std::runtime_error("base64");
  bytes.resize(size);
  return bytes;
}

class Lines {
 public:
  void segment(std::string_view bytes) { put({{"type", 2}, {"payload", base64(bytes)}}); }
  void file(const std::string& name, std::string_view content) {
    nlohmann::ordered_json line = {{"type", 1}};
    if (!is_utf8(name))
      line["name_raw"] = base64(name);
    else if (!name.empty())
      line["name"] = name;
    if (!content.empty()) line["size"] = content.size();
    line["payload"] = nullptr;
    if (!content.empty()) line["payload"] = base64(crc64_bytes(content));
    put(std::move(line));
  }
  std::string text;

 private:
  void put(nlohmann::ordered_json line) {
    line["position"] = position_++;
    text += line.dump() + "\n";
  }
  int position_ = 0;
};

}  // namespace

std::string gzip(std::string_view bytes) {
  z_stream z{};
  // The least of memory, which is cleared each time: a fuzz target comes here for each of its inputs.
  if (deflateInit2(&z, 6, Z_DEFLATED, 16 + 9, 1, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  std::string packed(deflateBound(&z, bytes.size()), '\0');
  std::string input(bytes);
  z.next_in = reinterpret_cast<Bytef*>(input.data());
  z.avail_in = static_cast<uInt>(input.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  int result = deflate(&z, Z_FINISH);
  packed.resize(z.total_out);
  deflateEnd(&z);
  if (result != Z_STREAM_END) throw std::runtime_error("deflate");
  return packed;
}

std::string gunzip(const std::string& packed) {
  z_stream z{};
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) throw std::runtime_error("inflateInit2");
  std::string input(packed), bytes, part(64 << 10, '\0');
  z.next_in = reinterpret_cast<Bytef*>(input.data());
  z.avail_in = static_cast<uInt>(input.size());
  int result = Z_OK;
  while (result == Z_OK) {
    z.next_out = reinterpret_cast<Bytef*>(part.data());
    z.avail_out = static_cast<uInt>(part.size());
    result = inflate(&z, Z_NO_FLUSH);
    bytes.append(part, 0, part.size() - z.avail_out);
  }
  inflateEnd(&z);
  if (result != Z_STREAM_END) throw std::runtime_error("inflate");
  return bytes;
}

std::string base64(std::string_view bytes) {
  std::string text(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(text.data(), bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
  return text;
}

std::string split_tar(std::string_view tar) {
  Lines lines;
  std::size_t segment_from = 0, at = 0;
  std::string pax_path;
  while (at + kBlock <= tar.size() && tar[at] != '\0') {
    std::string_view header = tar.substr(at, kBlock);
    std::size_t size = std::stoul(std::string(text_field(header, 124, 12)), nullptr, 8);
    at += kBlock;
    if (header[156] == 'x') {
      pax_path = pax_value(tar.substr(at, size), "path");
      at += rounded(size);
      continue;
    }
    lines.segment(tar.substr(segment_from, at - segment_from));
    lines.file(pax_path.empty() ? ustar_name(header) : pax_path, tar.substr(at, size));
    pax_path.clear();
    segment_from = at + size;
    at += rounded(size);
  }
  lines.segment(tar.substr(segment_from));
  return lines.text;
}

void put_checksum(std::string& header, std::size_t at) {
  constexpr std::size_t kAt = 148, kSize = 8;
  header.replace(at + kAt, kSize, kSize, ' ');
  unsigned sum = 0;
  for (std::size_t i = at; i < at + kBlock; ++i) sum += static_cast<unsigned char>(header[i]);
  char octal[kSize];
  std::snprintf(octal, sizeof octal, "%06o", sum);
  header.replace(at + kAt, 7, octal, 7);
}

std::string with_other_mode(const std::string& lines) {
  constexpr std::size_t kLastDigit = 106;
  std::size_t end = lines.find('\n');
  auto line = nlohmann::ordered_json::parse(lines.substr(0, end));
  std::string bytes = from_base64(line.at("payload"));
  // What stands right before a member's content is its header.
  std::size_t header = bytes.size() - kBlock;
  bytes[header + kLastDigit] ^= 1;
  put_checksum(bytes, header);
  line["payload"] = base64(bytes);
  return line.dump() + lines.substr(end);
}

Fd memory_file(std::string_view bytes) {
  Fd fd(::memfd_create("test", MFD_CLOEXEC));
  if (!fd || ::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::lseek(fd.get(), 0, SEEK_SET) != 0)
    throw std::runtime_error("memory_file");
  return fd;
}

}  // namespace drover::test
