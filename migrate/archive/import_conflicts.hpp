#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "migrate/store.hpp"

namespace drover {

/// What to do where what comes in and what is there have one name for two things.
enum class OnConflict { refuse, skip, rename, replace };

/// What comes in, once that is settled.
struct Settled {
  std::map<std::string, Digest> tags;        ///< to set: new ones, and those that are taken over
  std::map<std::string, Digest> old_tags;    ///< what those were
  std::set<std::string> skipped;             ///< IDs of containers that stay out
  std::set<Digest> skipped_images;           ///< that stay out: all their tags do, and nothing needs them
  std::set<std::string> replaced;            ///< IDs of containers that are there and go
  std::map<std::string, std::string> ids;    ///< new IDs of containers that come in
  std::map<std::string, std::string> names;  ///< new names of containers, by their IDs in the archive
  std::vector<std::string> notes;            ///< what was done, a line each
};

/// `taken`: whether there is a container folder of this ID in the data root, of whatever driver. Throws Error
/// that lists all conflicts if they are to be refused.
Settled settle_conflicts(const Inventory& incoming, const Inventory& there, OnConflict,
                         const std::function<bool(const std::string& id)>& taken);

}  // namespace drover
