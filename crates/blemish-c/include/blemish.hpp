// blemish for C++17: models and predictions that free themselves, errors as exceptions. Header only, over blemish.h.
#ifndef BLEMISH_HPP
#define BLEMISH_HPP

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "blemish.h"

namespace blemish {

// What a call throws when it fails.
class Error : public std::runtime_error {
 public:
  explicit Error(blemish_status status) : std::runtime_error(blemish_last_error()), status_(status) {}
  blemish_status status() const noexcept { return status_; }

 private:
  blemish_status status_;
};

inline void check(blemish_status status) {
  if (status != BLEMISH_STATUS_OK) throw Error(status);
}

using Region = blemish_region;

// Samples of an image, see blemish_format.
enum class Format : std::uint32_t {
  grey8 = BLEMISH_FORMAT_GREY8,
  rgb8 = BLEMISH_FORMAT_RGB8,
  bgr8 = BLEMISH_FORMAT_BGR8,
  grey16 = BLEMISH_FORMAT_GREY16,
  rgb16 = BLEMISH_FORMAT_RGB16,
  bgr16 = BLEMISH_FORMAT_BGR16,
};

enum class Verdict : std::uint32_t {
  good = BLEMISH_VERDICT_GOOD,
  defective = BLEMISH_VERDICT_DEFECTIVE,
  review = BLEMISH_VERDICT_REVIEW,
};

// What a model says of one image.
class Prediction {
 public:
  Prediction(Prediction&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)), result_(other.result_) {}
  Prediction& operator=(Prediction&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(result_, other.result_);
    return *this;
  }
  Prediction(const Prediction&) = delete;
  Prediction& operator=(const Prediction&) = delete;
  ~Prediction() { blemish_prediction_free(handle_); }

  // Higher = more defective.
  float score() const noexcept { return result_.score; }
  float threshold() const noexcept { return result_.threshold; }
  Verdict verdict() const noexcept { return static_cast<Verdict>(result_.verdict); }
  bool is_defective() const noexcept { return verdict() == Verdict::defective; }
  // Why: "normal", "anomaly", "blank", "no_product".
  std::string reason() const { return result_.reason; }
  // The most anomalous first, in pixels of the image.
  std::vector<Region> regions() const { return {result_.regions, result_.regions + result_.region_count}; }
  // map_height() rows of map_width() values; good until the prediction is destroyed.
  const float* map() const noexcept { return result_.map; }
  std::size_t map_height() const noexcept { return result_.map_height; }
  std::size_t map_width() const noexcept { return result_.map_width; }
  // Share of the image that was inspected, 0 to 1.
  float inspected() const noexcept { return result_.inspected; }
  // The lower threshold, from which on a person decides; NaN where there is none.
  float review_threshold() const noexcept { return result_.review_threshold; }
  // From which value of the map on a pixel belongs to a region.
  float outlined_from() const noexcept { return result_.outlined_from; }

 private:
  friend class Model;
  explicit Prediction(blemish_prediction* handle) : handle_(handle) {
    result_.struct_size = sizeof result_;
    const blemish_status status = blemish_prediction_get(handle_, &result_);
    if (status != BLEMISH_STATUS_OK) {
      const Error error(status);
      blemish_prediction_free(handle_);
      throw error;
    }
  }

  blemish_prediction* handle_;
  blemish_result result_{};
};

// A fitted detector; const functions may be called from many threads at once.
class Model {
 public:
  static Model load(const std::string& path) {
    Model model;
    check(blemish_load(path.c_str(), &model.handle_));
    return model;
  }
  static Model load(const std::uint8_t* bytes, std::size_t size) {
    Model model;
    check(blemish_load_memory(bytes, size, &model.handle_));
    return model;
  }
  Model(Model&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Model& operator=(Model&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model() { blemish_free(handle_); }

  // `data` holds `height` rows of `width` pixels, each `stride` bytes after the other; 0: without gaps.
  Prediction predict(const void* data, std::uint32_t width, std::uint32_t height, Format format,
                     std::size_t stride = 0) const {
    const std::size_t row = width * sample_bytes(format);
    const std::size_t step = stride == 0 ? row : stride;
    const std::size_t size = height == 0 ? 0 : (height - 1) * step + row;
    // A size that does not fit is left to the library to refuse.
    const bool overflows = height > 1 && step > (SIZE_MAX - row) / (height - 1);
    const blemish_image image{data, overflows ? 0 : size, stride, width, height, static_cast<std::uint32_t>(format)};
    return predict(image);
  }
  Prediction predict(const blemish_image& image) const {
    blemish_prediction* prediction = nullptr;
    check(blemish_predict(handle_, &image, &prediction));
    return Prediction(prediction);
  }
  // Reads an image file: PNG, JPEG, BMP, TIFF, WebP, PNM.
  Prediction predict_file(const std::string& path) const {
    blemish_prediction* prediction = nullptr;
    check(blemish_predict_file(handle_, path.c_str(), &prediction));
    return Prediction(prediction);
  }

  float threshold() const {
    float threshold = 0;
    check(blemish_threshold(handle_, &threshold));
    return threshold;
  }
  void set_threshold(float threshold) { check(blemish_set_threshold(handle_, threshold)); }
  void set_fpr(double fpr) { check(blemish_set_fpr(handle_, fpr)); }
  void set_threads(std::size_t threads) { check(blemish_set_threads(handle_, threads)); }
  blemish_model* handle() const noexcept { return handle_; }

 private:
  Model() = default;
  static std::size_t sample_bytes(Format format) noexcept {
    switch (format) {
      case Format::grey8: return 1;
      case Format::grey16: return 2;
      case Format::rgb8:
      case Format::bgr8: return 3;
      case Format::rgb16:
      case Format::bgr16: return 6;
    }
    return 0;
  }

  blemish_model* handle_ = nullptr;
};

}  // namespace blemish

#endif  // BLEMISH_HPP
