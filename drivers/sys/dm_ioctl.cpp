#include "drivers/sys/dm_ioctl.hpp"

#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <sstream>

#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/process.hpp"

namespace drover {

namespace {

constexpr const char* kControl = "/dev/mapper/control";
constexpr std::size_t kAnswer = 16 << 10, kLargestAnswer = 64 << 20;
constexpr std::string_view kOurs = "drover-";

// For udev's rules, in the upper half of the event number (libdevmapper's DM_UDEV_* flags): no rule but the
// one that makes the node shall look at our devices, since all of a pool carry the same filesystem UUID.
constexpr std::uint32_t kUdevQuiet = (0x0002 | 0x0004 | 0x0008 | 0x0010) << 16;

/// One request and its answer: the header, then the payload.
class Request {
 public:
  explicit Request(const std::string& name, std::size_t payload = kAnswer)
      : buffer_(sizeof(dm_ioctl) + payload) {
    header().version[0] = DM_VERSION_MAJOR;
    header().data_size = static_cast<std::uint32_t>(buffer_.size());
    header().data_start = sizeof(dm_ioctl);
    if (name.size() >= sizeof header().name) throw_errno("cannot name a device `" + name + "`", ENAMETOOLONG);
    std::memcpy(header().name, name.c_str(), name.size() + 1);
  }

  dm_ioctl& header() { return *reinterpret_cast<dm_ioctl*>(buffer_.data()); }
  char* payload() { return buffer_.data() + sizeof(dm_ioctl); }

  /// 0 or an errno. Asks again with more room where the answer did not fit.
  int send(int control, unsigned long command) {
    for (;;) {
      std::vector<char> asked = buffer_;
      if (::ioctl(control, command, buffer_.data()) != 0) return errno;
      if (!(header().flags & DM_BUFFER_FULL_FLAG) || buffer_.size() > kLargestAnswer) return 0;
      buffer_ = std::move(asked);
      buffer_.resize(buffer_.size() * 4);
      header().data_size = static_cast<std::uint32_t>(buffer_.size());
    }
  }

  /// The part of the buffer that the kernel says its answer is in.
  std::string_view answer() {
    std::size_t begin = header().data_start, end = header().data_size;
    if (begin > end || end > buffer_.size()) throw Error("device-mapper answers with impossible sizes");
    return {buffer_.data() + begin, end - begin};
  }

 private:
  std::vector<char> buffer_;
};

Fd control() {
  auto fd = open_device_mapper();
  if (!fd) throw SystemError(std::string("cannot open `") + kControl + "`", errno);
  return std::move(*fd);
}

std::vector<DmTarget> parse_targets(std::string_view answer, std::uint32_t count) {
  std::vector<DmTarget> targets;
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < count && at + sizeof(dm_target_spec) <= answer.size(); ++i) {
    dm_target_spec spec;
    std::memcpy(&spec, answer.data() + at, sizeof spec);
    std::string_view text = answer.substr(at + sizeof spec);
    targets.push_back({spec.sector_start, spec.length,
                       std::string(spec.target_type, ::strnlen(spec.target_type, sizeof spec.target_type)),
                       std::string(text.substr(0, text.find('\0')))});
    if (spec.next <= at) break;  // counted from the answer's begin
    at = spec.next;
  }
  return targets;
}

std::optional<std::vector<DmTarget>> ask_for_targets(const std::string& name, std::uint32_t flags) {
  Request request(name);
  request.header().flags = flags;
  int error = request.send(control().get(), DM_TABLE_STATUS);
  if (error == ENXIO) return std::nullopt;
  if (error) throw_errno("cannot ask for the state of the device `" + name + "`", error);
  return parse_targets(request.answer(), request.header().target_count);
}

std::string pack_table(const std::vector<DmTarget>& table) {
  std::string packed;
  for (const DmTarget& target : table) {
    dm_target_spec spec{};
    spec.sector_start = target.begin;
    spec.length = target.sectors;
    target.type.copy(spec.target_type, sizeof spec.target_type - 1);
    std::size_t size = (sizeof spec + target.parameters.size() + 1 + 7) / 8 * 8;
    spec.next = static_cast<std::uint32_t>(size);
    std::size_t at = packed.size();
    packed.resize(at + size);
    std::memcpy(packed.data() + at, &spec, sizeof spec);
    target.parameters.copy(packed.data() + at + sizeof spec, target.parameters.size());
  }
  return packed;
}

int remove_device(int fd, const std::string& name, bool deferred) {
  Request request(name, 0);
  if (deferred) request.header().flags = DM_DEFERRED_REMOVE;
  request.header().event_nr = kUdevQuiet;
  return request.send(fd, DM_DEV_REMOVE);
}

/// "drover-<pid>-<its start>-<number>-<purpose>"
std::string new_name(std::string_view purpose) {
  static std::atomic<unsigned> count{0};
  std::string pid = std::to_string(::getpid());
  return std::string(kOurs) + pid + "-" + start_of_process(pid) + "-" + std::to_string(++count) + "-" +
         std::string(purpose);
}

/// Whether this is the name of a device whose drover lives no more.
bool is_stale(const std::string& name) {
  if (!name.starts_with(kOurs)) return false;
  std::istringstream parts(name.substr(kOurs.size()));
  std::string pid, start, number;
  // LVM doubles a dash in a volume's name: such a one has an empty part.
  for (std::string* part : {&pid, &start, &number})
    if (!std::getline(parts, *part, '-') || part->empty() ||
        part->find_first_not_of("0123456789") != std::string::npos)
      return false;
  return start_of_process(pid) != start;
}

std::vector<std::string> all_names(int fd) {
  Request request("");
  if (int error = request.send(fd, DM_LIST_DEVICES))
    throw_errno("cannot list the device-mapper devices", error);
  std::string_view answer = request.answer();
  std::vector<std::string> names;
  constexpr std::size_t kNameAt = offsetof(dm_name_list, name);
  for (std::size_t at = 0; at + kNameAt < answer.size();) {
    std::uint64_t device;
    std::uint32_t next;
    std::memcpy(&device, answer.data() + at + offsetof(dm_name_list, dev), sizeof device);
    std::memcpy(&next, answer.data() + at + offsetof(dm_name_list, next), sizeof next);
    if (device == 0) break;  // an empty list is one empty entry
    std::string_view text = answer.substr(at + kNameAt);
    names.emplace_back(text.substr(0, text.find('\0')));
    if (next == 0) break;
    at += next;
  }
  return names;
}

}  // namespace

std::optional<Fd> open_device_mapper() {
  Fd fd(::open(kControl, O_RDWR | O_CLOEXEC));
  if (fd) return fd;
  if (errno == EACCES || errno == EPERM) throw_errno(std::string("cannot open `") + kControl + "`");
  return std::nullopt;
}

bool dm_has_target(int fd, const char* target) {
  // DM_GET_TARGET_VERSION (dm 4.41) loads a target's module by itself; older kernels only list what is
  // loaded.
  Request ask(target);
  if (ask.send(fd, DM_GET_TARGET_VERSION) == 0) return true;
  Request list("");
  if (int error = list.send(fd, DM_LIST_VERSIONS))
    throw_errno("cannot list device-mapper's targets (DM_LIST_VERSIONS)", error);
  std::string_view answer = list.answer();
  for (std::size_t at = 0; at + sizeof(dm_target_versions) < answer.size();) {
    dm_target_versions version;
    std::memcpy(&version, answer.data() + at, sizeof version);
    std::string_view name = answer.substr(at + sizeof version);
    if (name.substr(0, name.find('\0')) == target) return true;
    if (version.next == 0) break;
    at += version.next;
  }
  return false;
}

std::optional<std::vector<DmTarget>> dm_status(const std::string& name) { return ask_for_targets(name, 0); }

std::optional<std::vector<DmTarget>> dm_table(const std::string& name) {
  return ask_for_targets(name, DM_STATUS_TABLE_FLAG);
}

std::string device_number(dev_t device) {
  return std::to_string(major(device)) + ":" + std::to_string(minor(device));
}

std::optional<std::string> dm_number(const std::string& name) {
  Request request(name, 0);
  int error = request.send(control().get(), DM_DEV_STATUS);
  if (error == ENXIO) return std::nullopt;
  if (error) throw_errno("cannot ask for the device `" + name + "`", error);
  return device_number(request.header().dev);
}

void dm_message(const std::string& name, const std::string& message) {
  Request request(name, sizeof(dm_target_msg) + message.size() + 1);
  // The sector, 0, is there already.
  std::memcpy(request.payload() + offsetof(dm_target_msg, message), message.c_str(), message.size() + 1);
  if (int error = request.send(control().get(), DM_TARGET_MSG))
    throw_errno("the device `" + name + "` does not take the message `" + message + "`", error);
}

DmDevice DmDevice::make(std::string_view purpose, const std::vector<DmTarget>& table, bool read_only) {
  Fd fd = control();
  DmDevice made;
  made.name_ = new_name(purpose);
  auto require = [&](int error) {
    if (!error) return;
    made.fd_.reset();
    remove_device(fd.get(), made.name_, false);
    throw_errno("cannot make the device-mapper device `" + made.name_ + "`", error);
  };
  std::uint32_t mode = read_only ? DM_READONLY_FLAG : 0;
  Request create(made.name_, 0);
  create.header().flags = mode;
  if (int error = create.send(fd.get(), DM_DEV_CREATE))
    throw_errno("cannot make the device-mapper device `" + made.name_ + "`", error);
  made.device_ = create.header().dev;
  made.path_ = "/dev/dm-" + std::to_string(minor(made.device_));
  std::string packed = pack_table(table);
  Request load(made.name_, packed.size());
  load.header().flags = mode;
  load.header().target_count = static_cast<std::uint32_t>(table.size());
  packed.copy(load.payload(), packed.size());
  require(load.send(fd.get(), DM_TABLE_LOAD));
  made.fd_ = Fd(::open(made.path_.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  struct stat st;
  if (!made.fd_ || ::fstat(made.fd_.get(), &st) != 0) require(errno);
  require(st.st_rdev == made.device_ ? 0 : ENODEV);
  require(remove_device(fd.get(), made.name_, true));
  Request resume(made.name_, 0);
  resume.header().event_nr = kUdevQuiet;
  require(resume.send(fd.get(), DM_DEV_SUSPEND));
  return made;
}

void await_dm_removal(const std::vector<std::string>& names) {
  constexpr int kTries = 1000;
  constexpr timespec kPause{0, 10'000'000};
  Fd fd = control();
  for (const std::string& name : names)
    for (int i = 0;; ++i) {
      // Somebody, udev for one, may look at a device for a moment; no event tells when that is over.
      int error = remove_device(fd.get(), name, false);
      if (error == 0 || error == ENXIO) break;
      if (error != EBUSY) throw_errno("cannot remove the device `" + name + "`", error);
      if (i == kTries)
        throw Error(
            ExitCode::in_use, "the device `/dev/mapper/" + name + "` is still in use",
            "`dmsetup ls --tree` and `lsof` tell by whom; drover goes on with --resume once it is gone");
      ::nanosleep(&kPause, nullptr);
    }
}

void remove_stale_dm_devices() {
  auto fd = open_device_mapper();
  if (!fd) return;
  auto names = all_names(fd->get());
  // The last made first: those that stand on others. One that is open still goes when it is closed.
  for (auto name = names.rbegin(); name != names.rend(); ++name)
    if (is_stale(*name) && remove_device(fd->get(), *name, true) == 0)
      log_detail("removed the device `" + *name + "` that a killed drover has left");
}

}  // namespace drover
