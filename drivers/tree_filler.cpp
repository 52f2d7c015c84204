#include "drivers/tree_filler.hpp"

#include <sys/stat.h>

#include <atomic>
#include <optional>
#include <string>

#include "drivers/attributes.hpp"
#include "drivers/sys/lend.hpp"

namespace drover {

namespace {
// Enough work to be worth a thread's waking, and little enough that one does not wait long for another.
constexpr std::size_t kMostFiles = 32;
constexpr std::uint64_t kMostBytes = 1 << 20;
}  // namespace

class TreeFiller::Folder {
 public:
  explicit Folder(EntryPlacer::Folder n) : number(n) {}
  const EntryPlacer::Folder number;

  struct Attributes {
    TrailDir to;
    struct stat st;
    std::vector<Xattr> xattrs;
    bool fresh;
  };
  std::optional<Attributes> wanted;  ///< set before the walk gives back its share of `open`
  std::atomic<std::size_t> open{1};  ///< batches that are not done, and the walk
};

struct TreeFiller::Batch {
  FolderRef folder;
  Dir from;
  TrailDir to;
  struct File {
    std::string name;
    struct stat st;
  };
  std::vector<File> files;
  std::uint64_t bytes = 0;
};

TreeFiller::TreeFiller(EntryPlacer& placer) : placer_(placer) {}

TreeFiller::~TreeFiller() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return lent_ == 0; });
}

TreeFiller::FolderRef TreeFiller::begin(EntryPlacer::Folder number) {
  hand_over();  // the way down must not keep a handle for each directory
  return std::make_shared<Folder>(number);
}

void TreeFiller::place(const Dir& from, std::string_view name, const struct stat& st, const TrailDir& to,
                       const FolderRef& folder, bool new_only) {
  throw_failure();
  // Names of one inode are linked to the first of them, which must be there.
  if (!new_only || !S_ISREG(st.st_mode) || placer_.may_have_more(st) || !Lender::of_this_thread())
    return placer_.place(from, name, st, *to, folder->number);
  if (next_ && (next_->folder != folder || next_->from.path() != from.path())) hand_over();
  if (!next_) next_ = std::make_unique<Batch>(Batch{folder, from.clone(), to, {}, 0});
  next_->files.push_back({std::string(name), st});
  next_->bytes += static_cast<std::uint64_t>(st.st_size);
  if (next_->files.size() >= kMostFiles || next_->bytes >= kMostBytes) hand_over();
}

void TreeFiller::hand_over() {
  if (!next_) return;
  std::shared_ptr<Batch> batch = std::move(next_);
  ++batch->folder->open;
  auto work = [this, batch, placer = placer_.for_other_thread()]() mutable {
    std::exception_ptr failure;
    try {
      fill(*batch, placer);
    } catch (...) {
      failure = std::current_exception();
    }
    batch.reset();  // its handles are closed when finish() is through
    std::lock_guard lock(mutex_);
    by_others_ += placer.count();
    if (failure && !failure_) failure_ = failure;
    --lent_;
    done_.notify_all();
  };
  {
    // Counted once it is lent, which may throw where there is no memory; it cannot end before it is counted.
    std::lock_guard lock(mutex_);
    if (Lender::of_this_thread()->lend(std::move(work))) {
      ++lent_;
      return;
    }
  }
  fill(*batch, placer_);
}

void TreeFiller::fill(const Batch& batch, EntryPlacer& placer) {
  for (const Batch::File& file : batch.files)
    placer.place(batch.from, file.name, file.st, *batch.to, batch.folder->number);
  close(*batch.folder);
}

void TreeFiller::end(const TrailDir& to, const FolderRef& folder, const struct stat& st,
                     std::vector<Xattr> xattrs, bool fresh) {
  hand_over();
  folder->wanted = Folder::Attributes{to, st, std::move(xattrs), fresh};
  close(*folder);
}

void TreeFiller::close(Folder& folder) {
  if (--folder.open > 0) return;
  const Folder::Attributes& wanted = *folder.wanted;
  set_attributes(*wanted.to, "", wanted.st, wanted.xattrs, wanted.fresh);
  folder.wanted.reset();
}

void TreeFiller::throw_failure() {
  std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void TreeFiller::finish() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return lent_ == 0; });
  if (failure_) std::rethrow_exception(failure_);
  placer_.count() += by_others_;
  by_others_ = {};
}

}  // namespace drover
