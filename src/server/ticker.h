#pragma once
// A thread that keeps silent streams alive, and reads ahead what an answered conversation's next prompt will
// begin with.
//
// Threads: every member may be called from any thread; stop() by one.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "chat/conversation.h"
#include "server/answer.h"
#include "server/model_slot.h"

namespace kvasir::server {

// An answered conversation, whose next prompt is read ahead.
struct FollowUp {
  std::weak_ptr<const LoadedModel> model;  // the engine must end when the slot lets go of it
  chat::Conversation conversation;
  std::string cache_namespace;
  std::string cache_family;
  chat::Message turn;
};

class Ticker {
 public:
  Ticker() = default;
  ~Ticker() { stop(); }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  void start();
  bool running() const { return thread_.joinable(); }
  void stop();
  // Answer::tick() is called every second or so for as long as there is an answer.
  void watch(const std::shared_ptr<Answer>& answer);
  // Of several, the newest is the likeliest to go on; the older ones have what they have.
  void read_ahead(FollowUp next);

 private:
  void run();

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<std::weak_ptr<Answer>> answers_;
  std::optional<FollowUp> follow_up_;
};

}  // namespace kvasir::server
