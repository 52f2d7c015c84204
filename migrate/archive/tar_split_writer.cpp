#include "migrate/archive/tar_split_writer.hpp"

#include <nettle/base64.h>

#include <nlohmann/json.hpp>

#include "drivers/sys/interrupt.hpp"

namespace drover {

namespace {

constexpr std::size_t kLongestSegment = 64 << 10;

std::string base64(std::string_view bytes) {
  std::string text(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(text.data(), bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
  return text;
}

std::string json_text(const nlohmann::ordered_json& json) { return json.dump(); }

/// The name as JSON has it; names that are no text in base64, under another key.
void add_name(nlohmann::ordered_json& json, const std::string& name) {
  if (name.empty()) return;
  try {
    json_text(name);
    json["name"] = name;
  } catch (const nlohmann::json::type_error&) {
    json["name_raw"] = base64(name);
  }
}

}  // namespace

TarSplitWriter::TarSplitWriter(int file)
    : gzip_(Compression::gzip, 1,
            [file](std::string_view bytes) { write_all(file, bytes, "tar-split.json.gz"); }) {}

void TarSplitWriter::line(const std::string& json) {
  gzip_.write(json);
  gzip_.write("\n");
  ++position_;
}

void TarSplitWriter::flush_segment() {
  if (segment_.empty()) return;
  line(json_text({{"type", 2}, {"payload", base64(segment_)}, {"position", position_}}));
  segment_.clear();
}

void TarSplitWriter::flush_file() {
  if (!in_file_) return;
  in_file_ = false;
  nlohmann::ordered_json json{{"type", 1}};
  add_name(json, name_);
  json["payload"] = nullptr;
  if (size_ > 0) {
    std::string crc;
    for (int shift = 56; shift >= 0; shift -= 8) crc += static_cast<char>(crc_.value() >> shift);
    json["size"] = size_;
    json["payload"] = base64(crc);
  }
  json["position"] = position_;
  line(json_text(json));
}

void TarSplitWriter::structure(std::string_view bytes) {
  flush_file();
  segment_ += bytes;
  if (segment_.size() >= kLongestSegment) flush_segment();
}

void TarSplitWriter::member(const TarMember& member) {
  flush_file();
  flush_segment();
  in_file_ = true;
  name_ = member.name;
  size_ = member.size;
  crc_ = Crc64();
}

void TarSplitWriter::content(std::string_view bytes) { crc_.update(bytes); }

void TarSplitWriter::finish() {
  flush_file();
  flush_segment();
  gzip_.finish();
}

void observe_rest(ByteSource& source, TarObserver& observer) {
  std::string block(64 << 10, '\0');
  while (std::size_t n = source.read(block.data(), block.size())) {
    check_interrupted();
    observer.structure({block.data(), n});
  }
}

}  // namespace drover
