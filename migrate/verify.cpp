#include "migrate/verify.hpp"

#include <algorithm>
#include <mutex>
#include <set>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/proof.hpp"
#include "migrate/run_tasks.hpp"
#include "migrate/survey.hpp"

namespace drover {

namespace {

/// What is to be looked at.
struct Scope {
  std::set<Digest> layers;           ///< chain IDs
  std::set<std::string> containers;  ///< IDs
  std::set<Digest> images;           ///< IDs
};

constexpr std::size_t kShortestPrefix = 4;

bool concerns(const StoreProblem& problem, const std::string& name) {
  return is_concerned(problem, name) || is_concerned(problem, name + ":latest");
}

class ScopeFinder {
 public:
  explicit ScopeFinder(const Inventory& inventory) : inventory_(inventory) {}

  Scope all() const {
    Scope scope;
    for (const auto& [chain, layer] : inventory_.layers) scope.layers.insert(chain);
    for (const auto& [id, image] : inventory_.images) scope.images.insert(id);
    for (const auto& [id, container] : inventory_.containers) scope.containers.insert(id);
    return scope;
  }

  Scope of(const std::vector<std::string>& names) const {
    Scope scope;
    for (const std::string& name : names) add(scope, name);
    return scope;
  }

 private:
  void add(Scope& scope, const std::string& name) const {
    std::string id = name.starts_with("sha256:") ? name.substr(7) : name;
    auto begins = [&](const std::string& whole) {
      return whole == id || (id.size() >= kShortestPrefix && whole.starts_with(id));
    };
    Scope found;
    for (const auto& [image_id, image] : inventory_.images) {
      auto refers = [&](const std::string& r) { return r == name || r == name + ":latest"; };
      if (begins(image_id) || std::any_of(image.references.begin(), image.references.end(), refers))
        found.images.insert(image_id);
    }
    for (const auto& [container_id, container] : inventory_.containers)
      if (container.name == name || begins(container_id)) found.containers.insert(container_id);
    if (found.images.empty() && found.containers.empty())
      for (const auto& [chain, layer] : inventory_.layers)
        if (begins(chain) || begins(layer.cache_id) || begins(layer.diff_id)) found.layers.insert(chain);
    std::size_t count = found.images.size() + found.containers.size() + found.layers.size();
    if (count == 0 && is_missed(name)) return;  // its problem is reported
    if (count == 0)
      throw Error("there is no image, container or layer `" + printable(name) + "` in the store of " +
                      std::string(driver_name(inventory_.driver)),
                  "`drover info` lists the stores; another one is named with --driver");
    if (count > 1)
      throw Error("`" + printable(name) + "` is the name of several things", "write more of the ID");
    for (const Digest& image : found.images) add_chain(scope, inventory_.images.at(image).top);
    for (const std::string& container : found.containers) {
      auto mount = inventory_.mounts.find(container);
      if (mount != inventory_.mounts.end()) add_chain(scope, mount->second.parent);
    }
    scope.images.merge(found.images);
    scope.containers.merge(found.containers);
    scope.layers.merge(found.layers);
  }

  /// Whether it is not in the inventory because of damage.
  bool is_missed(const std::string& name) const {
    return std::any_of(inventory_.problems.begin(), inventory_.problems.end(),
                       [&](const StoreProblem& p) { return concerns(p, name); });
  }

  void add_chain(Scope& scope, std::optional<Digest> chain) const {
    while (chain) {
      auto layer = inventory_.layers.find(*chain);
      if (layer == inventory_.layers.end() || !scope.layers.insert(*chain).second) return;
      chain = layer->second.parent;
    }
  }

  const Inventory& inventory_;
};

class Verifier {
 public:
  Verifier(const Dir& root, const Inventory& inventory, const Driver& home, VerifyReport& report,
           Progress& progress)
      : root_(root),
        inventory_(inventory),
        home_(home),
        report_(report),
        progress_(progress),
        dependents_(find_dependents(inventory)) {}

  void run(const Scope& scope, unsigned threads) {
    std::vector<Task> tasks;
    std::vector<const LayerRecord*> layers;
    for (const Digest& chain : scope.layers) layers.push_back(&inventory_.layers.at(chain));
    // The largest first, so that no thread is left alone with one at the end.
    std::stable_sort(layers.begin(), layers.end(),
                     [](const auto* a, const auto* b) { return a->size_bytes > b->size_bytes; });
    for (const LayerRecord* layer : layers) tasks.push_back({[this, layer] { prove(*layer); }, {}});
    for (const std::string& id : scope.containers) {
      auto mount = inventory_.mounts.find(id);
      if (mount == inventory_.mounts.end()) continue;
      tasks.push_back({[this, &id = mount->second.mount_id] { walk(id); }, {}});
      if (mount->second.init_id) tasks.push_back({[this, &id = *mount->second.init_id] { walk(id); }, {}});
    }
    total_ = tasks.size();
    progress_.phase("proving " + std::to_string(total_) + " layers");
    run_tasks(tasks, threads);
  }

 private:
  void prove(const LayerRecord& layer) {
    LayerProof proof = prove_layer(root_, inventory_.driver, layer, home_);
    std::lock_guard lock(mutex_);
    if (proof.verdict == LayerProof::Verdict::proven) {
      ++report_.proven;
      report_.proven_bytes += proof.bytes;
    } else {
      auto& list = proof.verdict == LayerProof::Verdict::damaged ? report_.damaged : report_.not_provable;
      list.push_back({layer.chain_id, dependents_[layer.cache_id], proof.detail});
    }
    progress_.step("image layer " + short_id(layer.chain_id), ++done_, total_);
  }

  void walk(const LayerId& id) {
    std::string wrong;
    try {
      home_.stack(id);
      measure_tree(home_.open(id).root);
    } catch (const Error& e) {
      if (!is_damage(e)) throw;
      wrong = e.what();
    }
    std::lock_guard lock(mutex_);
    if (wrong.empty())
      ++report_.walked;
    else
      report_.damaged.push_back({id, dependents_[id], wrong});
    progress_.step((id.ends_with("-init") ? "init layer " : "writable layer ") + short_id(id), ++done_,
                   total_);
  }

  const Dir& root_;
  const Inventory& inventory_;
  const Driver& home_;
  VerifyReport& report_;
  Progress& progress_;
  std::map<LayerId, std::vector<std::string>> dependents_;
  std::mutex mutex_;
  std::size_t done_ = 0, total_ = 0;
};

}  // namespace

bool VerifyReport::sound() const {
  return damaged.empty() &&
         std::none_of(problems.begin(), problems.end(), [](const StoreProblem& p) { return p.fatal; });
}

VerifyReport verify_store(const DataRoot& root, DriverKind driver, const HomeSettings& settings,
                          const std::vector<std::string>& names, unsigned threads, Progress& progress) {
  Dir dir = Dir::open(root.path);
  auto open = driver_entry(driver).open;
  if (!open)
    throw Error("drover cannot read the layers of " + std::string(driver_name(driver)) + " yet",
                "`drover info` lists the stores that are there");
  auto home = open(root.path + "/" + std::string(driver_name(driver)), settings);
  Inventory inventory = read_inventory(dir, driver, home.get());
  ScopeFinder finder(inventory);
  Scope scope = names.empty() ? finder.all() : finder.of(names);
  VerifyReport report;
  report.driver = driver;
  report.images = scope.images.size();
  report.containers = scope.containers.size();
  for (const StoreProblem& problem : inventory.problems)
    if (names.empty() || std::any_of(names.begin(), names.end(),
                                     [&](const std::string& name) { return concerns(problem, name); }))
      report.problems.push_back(problem);
  Verifier(dir, inventory, *home, report, progress).run(scope, threads);
  return report;
}

}  // namespace drover
