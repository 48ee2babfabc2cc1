// The C++ wrapper: moves, errors as exceptions, the same answers from files and buffers: wrapper MODEL FOLDER
#include <blemish.hpp>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

static int failures = 0;
#define TRUE(condition) \
  if (!(condition)) std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition), failures++

static std::vector<std::uint8_t> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

template <typename F>
static blemish_status status_of(F&& call) {
  try {
    call();
    return BLEMISH_STATUS_OK;
  } catch (const blemish::Error& error) {
    TRUE(std::strlen(error.what()) > 0);
    return error.status();
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  using blemish::Format;
  const std::string folder = argv[2];
  blemish::Model model = blemish::Model::load(argv[1]);
  const auto file = bytes_of(argv[1]);
  const blemish::Model twin = blemish::Model::load(file.data(), file.size());

  const auto rgb = bytes_of(folder + "/64-64-2-192.raw"), padded = bytes_of(folder + "/64-64-2-199.raw");
  const blemish::Prediction expected = model.predict_file(folder + "/defect.png");
  TRUE(expected.is_defective() && !expected.regions().empty() && expected.reason() == "anomaly" && expected.inspected() > 0.9f);
  const std::size_t size = expected.map_height() * expected.map_width() * sizeof(float);
  const auto same = [&](const blemish::Prediction& other) {
    return other.score() == expected.score() && std::memcmp(other.map(), expected.map(), size) == 0;
  };
  TRUE(same(model.predict(rgb.data(), 64, 64, Format::rgb8)));
  TRUE(same(twin.predict(padded.data(), 64, 64, Format::rgb8, 199)));
  model.set_threads(1);
  std::vector<std::thread> threads;
  int alike[4] = {};
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&, t] { alike[t] = same(model.predict(rgb.data(), 64, 64, Format::rgb8)); });
  for (auto& thread : threads) thread.join();
  TRUE(alike[0] && alike[1] && alike[2] && alike[3]);

  // Moved objects free once; assignment frees what was held.
  blemish::Model moved = std::move(model);
  TRUE(same(moved.predict_file(folder + "/defect.png")));
  blemish::Prediction first = moved.predict_file(folder + "/good.png");
  first = moved.predict_file(folder + "/defect.png");
  TRUE(same(first));
  const blemish::Prediction second = std::move(first);
  TRUE(same(second));
  moved.set_threshold(1e6f);
  TRUE(moved.threshold() == 1e6f && moved.predict_file(folder + "/defect.png").verdict() == blemish::Verdict::good);
  moved.set_fpr(0.01);

  TRUE(status_of([&] { model.threshold(); }) == BLEMISH_STATUS_ARGUMENT);  // moved from
  TRUE(status_of([&] { blemish::Model::load("none"); }) == BLEMISH_STATUS_IO);
  TRUE(status_of([&] { blemish::Model::load(file.data(), 100); }) == BLEMISH_STATUS_MODEL);
  TRUE(status_of([&] { moved.predict(nullptr, 64, 64, Format::grey8); }) == BLEMISH_STATUS_IMAGE);
  TRUE(status_of([&] { moved.predict(rgb.data(), 0, 0, Format::grey8); }) == BLEMISH_STATUS_IMAGE);
  TRUE(status_of([&] { moved.predict(rgb.data(), 64, 64, Format::rgb8, 191); }) == BLEMISH_STATUS_IMAGE);
  TRUE(status_of([&] { moved.predict(rgb.data(), 64, 64, Format::rgb8, SIZE_MAX / 2); }) == BLEMISH_STATUS_IMAGE);
  TRUE(status_of([&] { moved.predict(rgb.data(), 64, 64, static_cast<Format>(9)); }) == BLEMISH_STATUS_IMAGE);
  TRUE(status_of([&] { moved.set_fpr(2); }) == BLEMISH_STATUS_CONFIG);
  if (failures == 0) std::puts("wrapper: all as it should be");
  return failures != 0;
}
