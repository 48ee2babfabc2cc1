// Scores a grey image from memory and the image files that are named after the model: inspect MODEL IMAGE...
// c++ -std=c++17 inspect.cpp $(pkg-config --cflags --libs blemish) -o inspect
#include <blemish.hpp>
#include <cstdio>
#include <exception>
#include <vector>

static void print(const char* name, const blemish::Prediction& prediction) {
  static const char* const verdicts[] = {"good", "defective", "review"};
  std::printf("%s: %s (%s), score %.3f, threshold %.3f\n", name, verdicts[static_cast<int>(prediction.verdict())],
              prediction.reason().c_str(), prediction.score(), prediction.threshold());
  for (const blemish::Region& region : prediction.regions()) {
    std::printf("  %u x %u pixels at column %u, row %u, peak %.3f\n", region.width, region.height, region.x, region.y,
                region.peak);
  }
}

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: inspect MODEL IMAGE...\n");
    return 2;
  }
  const blemish::Model model = blemish::Model::load(argv[1]);
  // A camera's buffer: 64 rows of 64 grey levels, each row 80 bytes after the other.
  const std::vector<std::uint8_t> frame(64 * 80, 128);
  print("frame", model.predict(frame.data(), 64, 64, blemish::Format::grey8, 80));
  bool defective = false;
  for (int i = 2; i < argc; i++) {
    const blemish::Prediction prediction = model.predict_file(argv[i]);
    print(argv[i], prediction);
    defective = defective || prediction.is_defective();
  }
  return defective ? 1 : 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 2;
}
