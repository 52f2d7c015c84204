#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cmd/context.hpp"
#include "detect/data_root.hpp"
#include "migrate/migrate.hpp"
#include "migrate/preflight.hpp"

namespace drover {

/// `left_behind` of docs/migrate-schema.md.
nlohmann::ordered_json left_behind_json(const LeftBehind&);

/// The plan of a migration as the user sees it before anything happens: text, or what docs/migrate-schema.md
/// says as one JSON object. `config_diff`: what the switch will change in the engine's configuration.
/// `no_proof`: what is carried will not be read back.
void print_plan(Context&, const DataRoot&, const Preflight&, const std::string& config_diff, bool no_proof);

/// What came of it, and what to do next.
void print_result(Context&, const MigrationResult&);

}  // namespace drover
