#include "cli/service_unit.h"

namespace kvasir::cli {
namespace {

// Longer than the time that answers in flight get (kDrainSeconds in serve.cpp), and what is written to disk
// at the end.
constexpr const char* kStopSeconds = "45";

// One word of a systemd command line: quoted, with specifiers (%) and variables ($) made plain.
std::string systemd_word(const std::string& text, bool variables) {
  std::string word = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') word += '\\';
    if (c == '%' || (c == '$' && variables)) word += c;
    if (c == '\n') {
      word += "\\n";
    } else {
      word += c;
    }
  }
  return word + "\"";
}

std::string xml(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string plist_string(const std::string& text, const char* indent) {
  return std::string(indent) + "<string>" + xml(text) + "</string>\n";
}

std::string plist_entry(const std::string& key, const std::string& text) {
  return "  <key>" + key + "</key>\n" + plist_string(text, "  ");
}

}  // namespace

std::string systemd_unit(const ServiceDescription& service) {
  std::string unit =
      "[Unit]\n"
      "Description=Kvasir, a local LLM server\n"
      "StartLimitIntervalSec=120\n"
      "StartLimitBurst=5\n"
      "\n"
      "[Service]\n"
      "Type=simple\n"
      "ExecStart=";
  for (std::size_t i = 0; i < service.command.size(); ++i)
    unit += (i > 0 ? " " : "") + systemd_word(service.command[i], true);
  // A path takes no quotes, but specifiers.
  std::string folder;
  for (const char c : service.folder) folder += c == '%' ? "%%" : std::string(1, c);
  unit += "\nWorkingDirectory=" + folder + "\n";
  for (const auto& [name, value] : service.environment) {
    std::string assignment = name;
    assignment.append("=").append(value);
    unit.append("Environment=").append(systemd_word(assignment, false)).append("\n");
  }
  unit +=
      "Restart=on-failure\n"
      "RestartSec=2\n"
      "RestartPreventExitStatus=2\n"
      "TimeoutStopSec=" +
      std::string(kStopSeconds) +
      "\n"
      "\n"
      "[Install]\n"
      "WantedBy=default.target\n";
  return unit;
}

std::string launchd_plist(const ServiceDescription& service) {
  std::string plist =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
      "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
      "<plist version=\"1.0\">\n"
      "<dict>\n" +
      plist_entry("Label", kLaunchdLabel) + "  <key>ProgramArguments</key>\n  <array>\n";
  for (const std::string& word : service.command) plist += plist_string(word, "    ");
  plist += "  </array>\n" + plist_entry("WorkingDirectory", service.folder);
  if (!service.environment.empty()) {
    plist += "  <key>EnvironmentVariables</key>\n  <dict>\n";
    for (const auto& [name, value] : service.environment)
      plist += "    <key>" + xml(name) + "</key>\n" + plist_string(value, "    ");
    plist += "  </dict>\n";
  }
  plist +=
      "  <key>RunAtLoad</key>\n  <true/>\n"
      // Unsaid, launchd throttles the job's processors and disk (launchd.plist(5), ProcessType).
      "  <key>ProcessType</key>\n  <string>Interactive</string>\n"
      "  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n"
      "  <key>ExitTimeOut</key>\n  <integer>" +
      std::string(kStopSeconds) + "</integer>\n" + plist_entry("StandardOutPath", service.log) +
      plist_entry("StandardErrorPath", service.log) + "</dict>\n</plist>\n";
  return plist;
}

}  // namespace kvasir::cli
