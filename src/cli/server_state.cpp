#include "cli/server_state.h"

#include <boost/json.hpp>
#include <charconv>
#include <fstream>
#include <iterator>
#include <span>

#include "base/file_system.h"

namespace kvasir::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kBeforePort = "server-";
constexpr std::string_view kRecordEnding = ".json";

std::string path_of(std::uint16_t port, std::string_view ending) {
  return path_in(state_folder(), std::string(kBeforePort) + std::to_string(port) + std::string(ending));
}

}  // namespace

std::optional<std::uint16_t> port_of_record(std::string_view name) {
  if (!name.starts_with(kBeforePort)) return std::nullopt;
  std::uint16_t port = 0;
  const char* const end = name.data() + name.size();
  const auto number = std::from_chars(name.data() + kBeforePort.size(), end, port);
  if (number.ec != std::errc{} || std::string_view(number.ptr, end) != kRecordEnding) return std::nullopt;
  return port;
}

std::string state_folder() {
  return environment("XDG_STATE_HOME").value_or(home_folder() + "/.local/state") + "/kvasir";
}

std::string log_path(std::uint16_t port) {
  return path_of(port, ".log");
}

std::string to_json(const ServerState& state) {
  return json::serialize(json::object{{"process", state.process},
                                      {"host", state.host},
                                      {"port", state.port},
                                      {"model", state.model},
                                      {"api_key", state.api_key}});
}

std::optional<ServerState> state_from_json(const std::string& text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  const json::object* record = error ? nullptr : value.if_object();
  if (record == nullptr) return std::nullopt;
  const auto number = [&](std::string_view name, std::int64_t most) -> std::int64_t {
    const json::value* v = record->if_contains(name);
    const std::int64_t* n = v != nullptr ? v->if_int64() : nullptr;
    return n != nullptr && *n > 0 && *n <= most ? *n : 0;
  };
  const auto text_of = [&](std::string_view name) {
    const json::value* v = record->if_contains(name);
    return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
  };
  ServerState state;
  state.process = static_cast<ProcessId>(number("process", INT32_MAX));
  state.host = text_of("host");
  state.port = static_cast<std::uint16_t>(number("port", UINT16_MAX));
  state.model = text_of("model");
  state.api_key = text_of("api_key");
  if (state.process == 0 || state.port == 0) return std::nullopt;
  return state;
}

Status write_state(const ServerState& state) {
  FileSystem& files = system_files();
  KVASIR_RETURN_IF_ERROR(files.make_folder(state_folder()));
  const std::string path = path_of(state.port, kRecordEnding);
  const std::string fresh = path + "." + std::to_string(state.process);
  (void)files.remove(fresh);
  {
    KVASIR_ASSIGN_OR_RETURN(const auto file, files.open(fresh, OpenMode::kCreateNew));
    const std::string text = to_json(state) + "\n";
    KVASIR_RETURN_IF_ERROR(file->write_at(0, std::as_bytes(std::span(text))));
  }
  return files.rename(fresh, path);
}

std::optional<ServerState> read_state(std::uint16_t port) {
  std::ifstream in(path_of(port, kRecordEnding), std::ios::binary);
  return state_from_json({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
}

void remove_state(std::uint16_t port, ProcessId process) {
  const auto state = read_state(port);
  if (state && state->process == process) (void)system_files().remove(path_of(port, kRecordEnding));
}

}  // namespace kvasir::cli
