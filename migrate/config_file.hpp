#pragma once
#include <sys/stat.h>

#include <optional>
#include <string>

#include "drivers/sys/dir.hpp"

namespace drover {

/// A user's configuration file that is to be replaced as a whole.
class ConfigFile {
 public:
  /// Opens what is there; a missing file has an empty text. A symlink is followed: its target is what is
  /// replaced. Throws Error if it cannot be read or is a symlink to nothing.
  explicit ConfigFile(std::string path);

  const std::string& path() const { return path_; }
  bool exists() const { return exists_; }
  const std::string& text() const { return text_; }

  /// Throws Error if it can be told beforehand that it cannot be replaced: it is immutable or a mount point,
  /// or its folder cannot be written to.
  void require_replaceable() const;

  /// What would change, as `diff -u` shows it; empty if nothing would.
  std::string diff(const std::string& new_text) const;

  /// Replaces the text: the old file is kept beside it under a name of its own, the new one written aside,
  /// synced and renamed; mode and owner stay. Missing folders are made. Gives back where the old file is
  /// kept, if there was one.
  std::optional<std::string> replace(const std::string& new_text) const;

  /// Owner and mode. Throws SystemError if there is no file.
  struct stat stat() const;

  /// The same without a copy beside it, for who keeps the old text elsewhere. It is text() from then on. One
  /// that is not there gets its owner and mode from `made_like`; without it, root's and 0644.
  void write(const std::string& new_text, const struct stat* made_like = nullptr);
  /// Removes what a write() that was cut short has left beside the file.
  void discard_unfinished() const;
  /// Removes a file that was not there at first; gone already is success.
  void remove();

 private:
  Dir folder() const;
  std::string path_, target_, text_;
  bool exists_ = false;
};

/// The lines that differ between two texts, in the unified format with three lines of context.
std::string unified_diff(const std::string& old_name, const std::string& old_text,
                         const std::string& new_name, const std::string& new_text);

}  // namespace drover
