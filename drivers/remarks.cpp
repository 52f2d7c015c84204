#include "drivers/remarks.hpp"

#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {
constexpr std::size_t kNamed = 3;

struct Place {
  Dir dir;
  std::string path;  ///< from the layer's root, with a slash at its end
};
}  // namespace

std::vector<std::string> remarks_on_hidden(Marks marks, const Dir& layer, std::string_view driver) {
  std::size_t count = 0;
  std::string named;
  std::vector<Place> places;
  places.push_back({layer.clone(), ""});
  while (!places.empty()) {
    check_interrupted();
    Place place = std::move(places.back());
    places.pop_back();
    for (const std::string& name : present_and_hidden(marks, place.dir))
      if (++count <= kNamed) named += (count > 1 ? ", `" : "`") + printable(place.path + name) + "`";
    Opacity inside = opacity(marks, place.dir);
    for (const DirEntry& entry : place.dir.list())
      if (decode(marks, place.dir, entry, inside).role == EntryRole::content)
        if (auto below = place.dir.try_sub(entry.name))
          places.push_back({std::move(*below), place.path + entry.name + "/"});
  }
  if (count == 0) return {};
  if (count > kNamed) named += " and " + std::to_string(count - kNamed) + " more";
  return {named + (count == 1 ? " is" : " are") +
          " in its tar both as present and as deleted: " + std::string(driver) +
          " hides what the image specification and all other drivers show; it will show"};
}

}  // namespace drover
