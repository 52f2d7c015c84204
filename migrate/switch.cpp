#include "migrate/switch.hpp"

#include <linux/fs.h>
#include <unistd.h>

#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"

namespace drover {

namespace {

constexpr const char* kHome = "home";
constexpr const char* kImage = "image";
constexpr const char* kContainers = "containers";
// The inode of the containers' folder that was in force at first: an exchange leaves both names as they were,
// so that only this tells which is which.
constexpr const char* kInode = "containers-inode";
constexpr const char* kPreviousHome = "previous-home";
constexpr const char* kPreviousImage = "previous-image";

void rename_durably(const Dir& from, const std::string& name, const Dir& to, const std::string& as,
                    unsigned flags = RENAME_NOREPLACE) {
  from.rename(name, to, as, flags);
  to.sync();
  from.sync();
}

}  // namespace

Switch::Switch(const Dir& data_root, MigrationFolder& folder)
    : root_(data_root),
      folder_(folder),
      image_(data_root.sub(kImage)),
      kept_(folder.kept()),
      from_(driver_name(folder.record().from)),
      to_(driver_name(folder.record().to)),
      config_(kept_, folder.record().config_path, folder.record().from, folder.record().to,
              folder.record().storage_opts) {}

void Switch::prepare() {
  config_.keep();
  kept_.write_atomic(kInode, std::to_string(root_.stat(kContainers).st_ino), 0600, ::geteuid(),
                     ::getegid());
  folder_.dir().sync();
}

void Switch::forward() {
  const Dir& folder = folder_.dir();
  config_.hold();
  put_in_place(folder, kImage, image_, to_, kPreviousImage);
  put_in_place(folder, kHome, root_, to_, kPreviousHome);
  if (containers_are_old()) exchange_containers();
  config_.set_new();
  step("the configuration names " + to_);
  put_aside(root_, from_, kHome);
  put_aside(image_, from_, kImage);
}

bool Switch::is_untouched() const {
  const Dir& folder = folder_.dir();
  return containers_are_old() && folder.exists(kImage) && folder.exists(kHome) && !config_.is_held();
}

void Switch::require_way_forward() const {
  if (containers_are_old() && !config_.is_held())
    throw Error(ExitCode::in_use,
                "the switch was interrupted, and its hold on the engine's configuration was taken away since: "
                "an engine may have run on the old data",
                "`drover rollback` keeps what that engine has done; then migrate again");
}

void Switch::require_way_back() const {
  auto require_absent = [&](const char* kept, const Dir& in) {
    if (kept_.exists(kept) && in.exists(from_))
      throw Error("`" + in.path_of(from_) + "` has come into being since the switch, and is in the way",
                  "was an engine started with " + from_ + "? Move it elsewhere, then try again");
  };
  require_absent(kHome, root_);
  require_absent(kImage, image_);
}

void Switch::backward() {
  require_way_back();
  const Dir& folder = folder_.dir();
  config_.hold();
  restore(kImage, image_, from_);
  restore(kHome, root_, from_);
  if (!containers_are_old()) exchange_containers();
  config_.set_old();
  step("the configuration names " + from_);
  take_back(root_, to_, folder, kHome, kPreviousHome);
  take_back(image_, to_, folder, kImage, kPreviousImage);
}

/// What is staged goes into place; an empty store that is there already is put aside first. Where nothing is
/// staged any more it is in place.
void Switch::put_in_place(const Dir& from, const std::string& name, const Dir& to, const std::string& as,
                          const std::string& previous) {
  if (!from.exists(name)) return;
  if (to.exists(as)) rename_durably(to, as, kept_, previous);
  rename_durably(from, name, to, as);
  step("`" + to.path_of(as) + "` is in place");
}

void Switch::take_back(const Dir& from, const std::string& name, const Dir& to, const std::string& as,
                       const std::string& previous) {
  if (!to.exists(as) && from.exists(name)) {
    rename_durably(from, name, to, as);
    step("`" + from.path_of(name) + "` is taken back");
  }
  if (kept_.exists(previous)) rename_durably(kept_, previous, from, name);
}

void Switch::put_aside(const Dir& from, const std::string& name, const std::string& as) {
  if (kept_.exists(as) || !from.exists(name)) return;
  rename_durably(from, name, kept_, as);
  step("`" + from.path_of(name) + "` is put aside");
}

void Switch::restore(const std::string& kept, const Dir& to, const std::string& name) {
  if (!kept_.exists(kept)) return;
  rename_durably(kept_, kept, to, name);
  step("`" + to.path_of(name) + "` is restored");
}

bool Switch::containers_are_old() const {
  return std::to_string(root_.stat(kContainers).st_ino) == kept_.read(kInode);
}

void Switch::exchange_containers() {
  rename_durably(root_, kContainers, folder_.dir(), kContainers, RENAME_EXCHANGE);
  step("`" + root_.path_of(kContainers) + "` is exchanged");
}

void Switch::step(const std::string& what) {
  folder_.journal().step(what);
  log_detail(what);
}

}  // namespace drover
