#include "drivers/sys/error.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <iterator>

#include "drivers/sys/printable.hpp"

namespace drover {

Error::Error(ExitCode code, const std::string& what, const std::string& hint)
    : std::runtime_error(printable(what)), code_(code), hint_(printable(hint)) {}

std::string errno_text(int number) {
  char buffer[256];
  std::string text = strerror_r(number, buffer, sizeof buffer);
  // "No such file" begins a sentence, "EXDEV"-like words do not: only a lone capital is lowered.
  if (text.size() > 1 && std::isupper(static_cast<unsigned char>(text[0])) &&
      !std::isupper(static_cast<unsigned char>(text[1])))
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

namespace {
/// What the host needs before anything else can help.
std::string way_out_of(int number) {
  switch (number) {
    case ENOSPC:
      return "free some space there";
    case EDQUOT:
      return "raise the disk quota there";
    case EIO:
      return "the disk has failed there: see the kernel's log (dmesg)";
    case EROFS:
      return "mount it writable; if the kernel made it read-only, its log (dmesg) says why";
    case EMFILE:
      return "raise the limit of open files (ulimit -n)";
    default:
      return "";
  }
}
}  // namespace

SystemError::SystemError(const std::string& what, int number)
    : SystemError(what, number, way_out_of(number)) {}

SystemError::SystemError(const std::string& what, int number, const std::string& hint)
    : Error(ExitCode::failed, what + ": " + errno_text(number), hint), number_(number) {}

bool is_damage(const Error& e) {
  if (e.code() == ExitCode::interrupted || e.code() == ExitCode::in_use || e.code() == ExitCode::not_usable)
    return false;
  const auto* system = dynamic_cast<const SystemError*>(&e);
  if (!system) return true;
  // Of metadata with a wrong checksum ext4 and xfs say EBADMSG.
  constexpr int kOfTheDisk[] = {EIO, EUCLEAN, EBADMSG, ENOENT, ENOTDIR, ELOOP, ESTALE, ENODATA};
  return std::find(std::begin(kOfTheDisk), std::end(kOfTheDisk), system->number()) != std::end(kOfTheDisk);
}

void throw_errno(const std::string& what, int number) { throw SystemError(what, number); }

}  // namespace drover
