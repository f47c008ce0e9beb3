#pragma once
// From a model's path to everything that serving it needs.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "cli/commands.h"
#include "server/model_slot.h"
#include "weights/checkpoint.h"

namespace kvasir::cli {

// The file or folder that a --model argument means: itself, the only .gguf of a folder (the first, where it
// is split), a model of this machine by a name of `kvasir list`, or one of the hub that has been pulled
// (hf:ORG/REPO[@REVISION][:FILE]). A file of that name wins.
Result<std::string> find_model_file(const std::string& name);

// A model's file or folder, opened and checked as far as can be without reading weights: format, family,
// shape.
struct OpenedModel {
  std::string path;
  std::string id;  // how the server shows it: the file's name without its ending, or the folder's
  std::shared_ptr<const weights::Checkpoint> file;
};
Result<OpenedModel> open_model(const std::string& name);

struct ExecutorChoice {
  std::string kind = "native";  // or "scripted"
  std::string script;           // path, for scripted
};

// Reads the weights (progress 0..1 on the calling thread), sets up text, and starts an engine within the
// memory asked.
Result<std::shared_ptr<const server::LoadedModel>> load_model(const OpenedModel& model,
                                                              const ModelOptions& options,
                                                              const ExecutorChoice& executor,
                                                              const std::function<void(double)>& progress);

// A percentage on standard error while something takes longer than a moment: on a terminal it moves,
// elsewhere it is a line for every quarter.
class ProgressLine {
 public:
  explicit ProgressLine(std::string what);
  void show(double share);
  void finish();

 private:
  std::string what_;
  bool terminal_;
  int shown_ = -1;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace kvasir::cli
