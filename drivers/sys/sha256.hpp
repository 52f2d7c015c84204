#pragma once
#include <nettle/sha2.h>

#include <string>
#include <string_view>

namespace drover {

/// SHA-256 over a stream (nettle: uses the processor's SHA instructions where it has them).
class Sha256 {
 public:
  Sha256() { sha256_init(&context_); }
  void update(std::string_view bytes) {
    sha256_update(&context_, bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
  }
  /// The digest in lower-case hex; starts anew.
  std::string hex();

 private:
  sha256_ctx context_;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace drover
