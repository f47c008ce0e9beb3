// `kvasir cache`: what is kept on disk, for people.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <ctime>
#include <map>

#include "cli/cache_options.h"
#include "cli/commands.h"
#include "cli/load.h"

namespace kvasir::cli {
namespace {

struct CacheCommand {
  std::string folder;
  std::string file;
  std::uint64_t keep = 0;
  std::size_t most = 20;

  std::string place() const { return folder.empty() ? default_cache_folder() : folder; }
};

double gigabytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / 1e9;
}

std::string local_time(std::int64_t unix_seconds) {
  const auto time = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  localtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &parts);
  return text;
}

Result<kv::DiskFolderReport> inspect(const CacheCommand& command, bool verify) {
  ProgressLine line("checking the cache");
  auto report = kv::inspect_disk_folder(system_files(), command.place(), verify,
                                        [&](double share) { verify ? line.show(share) : void(); });
  line.finish();
  return report;
}

int list(const CacheCommand& command) {
  const auto report = inspect(command, false);
  if (!report.ok()) return fail(report.error());
  if (report->conversations.empty()) {
    fmt::print("nothing is kept in {}\n", command.place());
    return 0;
  }
  fmt::print("{:<16}  {:>8}  {:>9}  {:>9}  {}\n", "last written", "tokens", "own MB", "shared MB", "model");
  std::size_t shown = 0;
  for (const kv::DiskConversation& c : report->conversations) {
    if (shown == command.most) break;
    ++shown;
    fmt::print("{:<16}  {:>8}  {:>9.1f}  {:>9.1f}  {}{}\n", local_time(c.written_unix_seconds), c.tokens,
               static_cast<double>(c.bytes) / 1e6, static_cast<double>(c.shared_bytes) / 1e6, c.label,
               c.name_space.empty() ? "" : "  [" + c.name_space + "]");
  }
  if (report->conversations.size() > shown) {
    fmt::print("and {} more (--most N shows more)\n", report->conversations.size() - shown);
  }
  return 0;
}

int stats(const CacheCommand& command) {
  const auto report = inspect(command, false);
  if (!report.ok()) return fail(report.error());
  struct Model {
    std::size_t conversations = 0;
    std::uint64_t bytes = 0;
  };
  std::map<std::string, Model> models;
  for (const kv::DiskConversation& c : report->conversations) {
    ++models[c.label].conversations;
    models[c.label].bytes += c.bytes;
  }
  fmt::print("{}: {:.3f} GB, {} records, {} conversations\n", command.place(), gigabytes(report->bytes),
             report->records, report->conversations.size());
  for (const auto& [label, model] : models)
    fmt::print("  {}: {} conversations\n", label, model.conversations);
  if (report->bad_records + report->orphans + report->foreign_segments > 0) {
    fmt::print("not served: {} unsound and {} orphaned records, {} segments of other versions\n",
               report->bad_records, report->orphans, report->foreign_segments);
  }
  return 0;
}

int verify(const CacheCommand& command) {
  const auto report = inspect(command, true);
  if (!report.ok()) return fail(report.error());
  for (const std::string& problem : report->problems) fmt::print("{}\n", problem);
  fmt::print("{}: {} records, {} unsound, {} orphaned, {} foreign segments\n", command.place(),
             report->records, report->bad_records, report->orphans, report->foreign_segments);
  return report->bad_records == 0 ? 0 : 1;
}

int prune(const CacheCommand& command) {
  const auto given_back = kv::prune_disk_folder(system_files(), command.place(), command.keep);
  if (!given_back.ok()) return fail(given_back.error());
  fmt::print("{:.3f} GB given back\n", gigabytes(*given_back));
  return 0;
}

int clear(const CacheCommand& command) {
  CacheCommand all = command;
  all.keep = 0;
  if (const int failed = prune(all); failed != 0) return failed;
  const Status forgotten = remove_replay_logs(all.place());
  return forgotten.ok() ? 0 : fail(forgotten.error());
}

int move_records(const CacheCommand& command, bool out) {
  const auto records = out ? kv::export_disk_folder(system_files(), command.place(), command.file)
                           : kv::import_disk_folder(system_files(), command.place(), command.file);
  if (!records.ok()) return fail(records.error());
  fmt::print("{} records {} {}\n", *records, out ? "written to" : "taken from", command.file);
  return 0;
}

}  // namespace

void add_cache(CLI::App& app, int& exit_code) {
  CLI::App* cache = app.add_subcommand("cache", "What is kept on disk: look, check, shrink, move");
  cache->require_subcommand(1);
  auto options = std::make_shared<CacheCommand>();
  const auto add = [&](const char* name, const char* help, auto run) {
    CLI::App* command = cache->add_subcommand(name, help);
    add_cache_folder_option(*command, options->folder);
    command->callback([options, run, &exit_code] { exit_code = run(*options); });
    return command;
  };
  add("ls", "The conversations, newest first", list)
      ->add_option("--most", options->most, "How many to show")
      ->capture_default_str();
  add("stats", "Space, records and models", stats);
  add("verify", "Read everything and check it; exit code 1 when something is unsound", verify);
  add("prune", "Shrink it, least valuable first", prune)
      ->add_option("--keep", options->keep, "Space it may still take")
      ->required()
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE, like 5GB");
  add("clear", "Remove everything", clear);
  add("export", "Write every sound record into one file",
      [](const CacheCommand& c) { return move_records(c, true); })
      ->add_option("file", options->file, "The file to make")
      ->required();
  add("import", "Add the records of such a file",
      [](const CacheCommand& c) { return move_records(c, false); })
      ->add_option("file", options->file, "The file")
      ->required();
}

}  // namespace kvasir::cli
