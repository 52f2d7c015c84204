#include "migrate/archive/export.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "cmd/commands.hpp"
#include "cmd/context.hpp"
#include "cmd/progress.hpp"
#include "cmd/render.hpp"
#include "cmd/store_access.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/size_text.hpp"
#include "migrate/migration_folder.hpp"
#include "migrate/preflight.hpp"

namespace drover {

namespace {

struct ExportFlags {
  std::vector<std::string> names;
  std::string output = "-", driver, compress = "zstd";
  bool offline = false;
};

/// Where the archive goes. A file appears under its name when it is whole.
class Output {
 public:
  explicit Output(const std::string& path) : path_(path == "-" ? "" : path) {
    struct stat st;
    if (path_.empty()) {
      if (::isatty(STDOUT_FILENO) == 1)
        throw Error(ExitCode::usage, "an archive is not written to a terminal",
                    "name a file with -o, or send it on: drover export | ...");
      fd_ = Fd(::dup(STDOUT_FILENO));
    } else if (::stat(path_.c_str(), &st) == 0 && !S_ISREG(st.st_mode)) {
      fd_ = Fd(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    } else {
      std::string unfinished = path_ + ".partial-" + std::to_string(::getpid());
      fd_ = Fd(disk::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      if (fd_) unfinished_ = unfinished;
    }
    if (!fd_) throw_errno("cannot write `" + path + "`");
  }
  ~Output() {
    if (!unfinished_.empty()) disk::unlink(unfinished_.c_str());
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::string_view bytes) {
    write_all(fd_.get(), bytes, path_.empty() ? "standard output" : ("`" + path_ + "`").c_str());
    written_ += bytes.size();
  }
  void finish() {
    if (unfinished_.empty()) return;
    if (disk::fsync(fd_.get()) != 0) throw_errno("cannot write `" + path_ + "`");
    if (disk::renameat2(AT_FDCWD, unfinished_.c_str(), AT_FDCWD, path_.c_str(), 0) != 0)
      throw_errno("cannot write `" + path_ + "`");
    unfinished_.clear();
    Dir::open(std::filesystem::absolute(path_).parent_path().string()).sync();
  }
  std::uint64_t written() const { return written_; }
  bool is_stdout() const { return path_.empty(); }

 private:
  std::string path_, unfinished_;
  Fd fd_;
  std::uint64_t written_ = 0;
};

Compression compression_of(const std::string& name) {
  if (name == "gzip") return Compression::gzip;
  return name == "none" ? Compression::none : Compression::zstd;
}

int run_export(const ExportFlags& flags, Context& context) {
  StoreAccess store = find_store_as_root(context);
  Dir dir = open_data_root_for_change(store.root);
  if (store.root.owner.uid != 0)
    throw Error("`" + store.root.path +
                    "` is the data root of a user namespace (userns-remap), whose files have "
                    "other owners than their archive would say",
                "`drover migrate` moves it; its images go with `docker save`");
  EngineLock lock = EngineLock::take(store.root.path);
  if (auto open = find_open_migration(dir); open && open->state != MigrationState::switched)
    refuse_open_migration(*open, store.root.path);
  DriverKind driver = flags.driver.empty() ? require_current_driver(store.root, store.config, "--driver")
                                           : require_driver(flags.driver);
  catch_interrupts();
  std::signal(SIGPIPE, SIG_IGN);  // who does not read on is an error like any other
  Output output(flags.output);
  Compressor compressor(compression_of(flags.compress), std::max(1U, std::thread::hardware_concurrency()),
                        [&](std::string_view bytes) { output.write(bytes); });
  ExportOptions options{
      driver, {store.root.owner, storage_opts_in_force(store.config), flags.offline}, flags.names};
  auto progress = make_progress(context);
  ExportResult result = export_archive(
      store.root, options, [&](std::string_view bytes) { compressor.write(bytes); }, *progress);
  compressor.finish();
  output.finish();
  progress.reset();
  for (const std::string& note : result.notes) log_warning(note);
  if (output.is_stdout() || log_level() == LogLevel::quiet) return static_cast<int>(ExitCode::done);
  if (context.json)
    print_json(context.out, {{"schema", 1},
                             {"driver", driver_name(driver)},
                             {"file", flags.output},
                             {"bytes", output.written()},
                             {"images", result.images},
                             {"containers", result.containers},
                             {"layers", result.layers},
                             {"layer_bytes", result.tar_bytes},
                             {"notes", result.notes}});
  else
    context.out << "exported " << human_count(result.images) << " images, " << human_count(result.containers)
                << " containers and " << human_count(result.layers) << " layers to " << flags.output << " ("
                << human_size(output.written()) << ")\n";
  return static_cast<int>(ExitCode::done);
}

}  // namespace

void add_export(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* cmd = app.add_subcommand(
      "export", "write images and containers with their layers as one archive, for `drover import`");
  cmd->add_option("NAME", flags->names, "images and containers (default: everything)");
  cmd->add_option("-o,--output", flags->output, "a file (default: standard output)");
  cmd->add_option("--compress", flags->compress,
                  "zstd, gzip or none (default: zstd, which docker load knows since 23.0)")
      ->check(CLI::IsMember({"zstd", "gzip", "none"}));
  cmd->add_option("-s,--driver", flags->driver, "whose store (default: the engine's current driver's)");
  add_offline_option(*cmd, flags->offline);
  cmd->callback([flags, &context] { context.exit_code = run_export(*flags, context); });
}

}  // namespace drover
