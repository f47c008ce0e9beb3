#pragma once
// What the environment says about the hub, by huggingface_hub's own variables.

#include <string>

namespace kvasir::hub {

struct Settings {
  std::string endpoint;  // HF_ENDPOINT, else https://huggingface.co; no slash behind
  std::string token;     // HF_TOKEN, HUGGING_FACE_HUB_TOKEN, else what `hf auth login` kept; may be empty
  bool offline = false;  // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE
  std::string cache;     // default_hub_cache()
};

Settings settings_from_environment();

}  // namespace kvasir::hub
