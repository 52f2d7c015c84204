#pragma once
#include <string>
#include <vector>

#include "migrate/store.hpp"

namespace drover::test {

/// An image's configuration, as the engine's builder writes it.
std::string image_config(const std::vector<Digest>& diff_ids, const std::string& command);

struct SampleContainer {
  std::string id, name, directory;  ///< directory: where its files are, an absolute path
  Digest image;
  std::string image_reference, command;
};

/// config.v2.json and hostconfig.json of a container that has run and ended.
std::string container_config(const SampleContainer&);
std::string host_config();
/// What a container wrote, as the json-file log driver keeps it.
std::string json_log(const std::string& output);

}  // namespace drover::test
