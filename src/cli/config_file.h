#pragma once
// The TOML file with a command's options: each by its long name without the dashes, `memory = "8GB"`, or
// under a table, `[cache]` and `disk = "20GB"` for --cache-disk. What the command line says goes before it.

#include <optional>
#include <string>

#include "base/error.h"

namespace CLI {
class App;
}

namespace kvasir::cli {

// $KVASIR_CONFIG, else $XDG_CONFIG_HOME/kvasir/config.toml, else ~/.config/kvasir/config.toml.
std::string default_config_path();

// The default file, where there is one.
std::optional<std::string> find_default_config();

// Sets the options of `app`, which has parsed its command line, as the file says. kInvalidArgument or
// kNotFound: one line that begins with the file and, where it is about one, the line ("config.toml:3: ...").
Status apply_config(CLI::App& app, const std::string& path);

}  // namespace kvasir::cli
