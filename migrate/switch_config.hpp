#pragma once
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"
#include "migrate/config_file.hpp"

namespace drover {

/// The engine's configuration file during a switch. It goes from the old text to one that no engine starts
/// with (so that none comes up on a half-done root, not even after a power cut), and from there to the new
/// one; or all the way back. What it was is kept in the migration's folder (`kept/config`, or the absence of
/// it) before anything is written.
class SwitchConfig {
 public:
  /// `kept`: where the old text is, or will be. `data_root`: what the new text names as the data root;
  /// nothing: what the old one does.
  SwitchConfig(const Dir& kept, std::string path, DriverKind from, DriverKind to,
               std::vector<std::string> storage_opts, std::optional<std::string> data_root = std::nullopt)
      : kept_(kept),
        path_(std::move(path)),
        from_(from),
        to_(to),
        storage_opts_(std::move(storage_opts)),
        data_root_(std::move(data_root)) {}

  /// Keeps the old text. To be called once, before the first step of the switch.
  void keep();
  bool is_kept() const;

  /// Whether the file names the new data root now. Only where there is one.
  bool names_data_root() const;

  /// Whether the file names the target driver now.
  bool names_target() const;

  bool is_held() const;
  void hold();     ///< no engine starts any more
  void set_new();  ///< the target driver is in force
  void set_old();  ///< as it was, to the byte; what the user has changed since stays changed

 private:
  std::optional<std::string> kept_text() const;
  void write(ConfigFile&, const std::string& text) const;
  std::string held(const std::string& text) const;
  std::string for_target(const std::string& text) const;
  bool is_ours(const std::string& text) const;
  const Dir& kept_;
  std::string path_;
  DriverKind from_, to_;
  std::vector<std::string> storage_opts_;
  std::optional<std::string> data_root_;
};

/// Whether this text keeps an engine from starting.
bool is_on_hold(const std::string& config_text);

}  // namespace drover
