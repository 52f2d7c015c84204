#pragma once

namespace CLI {
class App;
}

namespace drover {

struct Context;

/// One per verb: declares it on the command line; when it is parsed, runs it and sets Context::exit_code.
void add_info(CLI::App&, Context&);
void add_select(CLI::App&, Context&);
void add_migrate(CLI::App&, Context&);
void add_rollback(CLI::App&, Context&);
void add_commit(CLI::App&, Context&);
void add_verify(CLI::App&, Context&);
void add_layers(CLI::App&, Context&);
void add_export(CLI::App&, Context&);
void add_import(CLI::App&, Context&);

}  // namespace drover
