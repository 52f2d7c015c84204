#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// `path`, or its nearest existing parent directory. Symlinks are followed; relative paths start at ".".
std::string nearest_existing(const std::string& path);

/// Where a driver is tried: its home if that is a filesystem of its own, else the data root or its nearest
/// existing parent.
std::string probe_place(const std::string& data_root, std::string_view driver);

/// A directory for one trial, removed when this ends. It is locked while in use, so that what a killed run
/// left is told from what another run is using; making one removes the former.
class Scratch {
 public:
  /// Throws SystemError if it cannot be made there.
  explicit Scratch(const std::string& place);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const Dir& dir() const noexcept { return dir_; }
  const std::string& path() const noexcept { return dir_.path(); }
  /// Makes this the working directory by its path, as a child in a mount namespace of its own must: a handle
  /// from outside cannot be mounted on. Throws Error if another directory is found there.
  void enter() const;

 private:
  void remove_stale() const;
  Dir parent_;
  std::string name_;
  Dir dir_;
};

/// Whether a name is that of such a directory.
bool is_trial_scratch(std::string_view name);

/// Runs a probe's body; an Error on its way out becomes the answer "no", with its text as the reason.
Probe guarded_probe(const std::string& place, const std::function<Probe()>& body);

/// Shorthands for the three answers.
Probe usable(std::string evidence);
Probe usable_with_limits(std::string limits, std::string evidence, std::string fix = {});
Probe not_usable(std::string reason, std::string evidence, std::string fix);
/// The same answer where only the host lacks something (Probe::home_possible).
Probe home_possible(Probe);

/// "`/var/lib` is on extfs": the evidence of statfs.
std::string filesystem_evidence(const std::string& place);
/// Opens a device that a driver needs. Nothing, with errno, if it is not there or does not answer; throws
/// SystemError where only the right to open it is missing.
std::optional<Fd> open_device(const char* path);

/// Whether this process lives in a user namespace other than the first.
bool in_user_namespace();

}  // namespace drover
