#include "cli/flags/model_flag.h"

#include <system_error>

#include "exaone/error.h"

namespace exa {

std::vector<std::filesystem::path> shipped_model_places(const std::filesystem::path& folder) {
  constexpr const char* kName = "EXAONE-nano.Q8_0.gguf";
  return {folder / kName, (folder / "../share/exaone" / kName).lexically_normal(),
          (folder / "../../models" / kName).lexically_normal()};
}

std::string find_shipped_model() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string looked;
  if (!error) {
    for (const std::filesystem::path& place : shipped_model_places(program.parent_path())) {
      if (std::filesystem::is_regular_file(place, error)) return place.string();
      looked += (looked.empty() ? "" : ", ") + place.string();
    }
  }
  throw Error(ErrorKind::kUsage, "no model is named (-m or $EXAONE_MODEL), and none lies at " +
                                     (looked.empty() ? "an unknown place of this program" : looked));
}

}  // namespace exa
