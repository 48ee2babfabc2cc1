// blemish: finds and locates what is wrong with a product in an image. Made by cbindgen from crates/blemish-c; do not edit.
//
// Models and predictions are handles that are checked at every call: one that was freed, or never was one, is an error
// (BLEMISH_STATUS_HANDLE). All functions may be called from any thread. docs/c.md begins with an example.

#ifndef BLEMISH_H
#define BLEMISH_H

#include <stddef.h>
#include <stdint.h>

// Whether a call did what it was asked for; every other than `OK` has a message, see `blemish_last_error`.
typedef enum {
  // It did.
  BLEMISH_STATUS_OK = 0,
  // An argument cannot be used: a null pointer, a value out of range, text that is no UTF-8, a struct of unknown size.
  BLEMISH_STATUS_ARGUMENT = 1,
  // A model or prediction that was freed already, or never was one.
  BLEMISH_STATUS_HANDLE = 2,
  // The image buffer: no pixels, too few bytes for its size, a stride shorter than a row, an unknown format.
  BLEMISH_STATUS_IMAGE = 3,
  // A setting cannot be used.
  BLEMISH_STATUS_CONFIG = 4,
  // The operating system refused to read or write a file.
  BLEMISH_STATUS_IO = 5,
  // The file or memory holds no model that can be used.
  BLEMISH_STATUS_MODEL = 6,
  // A data set cannot be used.
  BLEMISH_STATUS_DATA = 7,
  // A fault of the library itself; the process and all other handles can still be used.
  BLEMISH_STATUS_INTERNAL = 8,
} blemish_status;

// What the samples of an image buffer are. 16-bit samples are in the byte order of the machine; they may lie at odd addresses.
typedef enum {
  // One byte a pixel.
  BLEMISH_FORMAT_GREY8 = 1,
  // Red, green, blue, a byte each.
  BLEMISH_FORMAT_RGB8 = 2,
  // Blue, green, red, a byte each.
  BLEMISH_FORMAT_BGR8 = 3,
  // Two bytes a pixel.
  BLEMISH_FORMAT_GREY16 = 4,
  // Red, green, blue, two bytes each.
  BLEMISH_FORMAT_RGB16 = 5,
  // Blue, green, red, two bytes each.
  BLEMISH_FORMAT_BGR16 = 6,
} blemish_format;

// What was decided.
typedef enum {
  // The score is below the threshold.
  BLEMISH_VERDICT_GOOD = 0,
  // The score is at least the threshold, or the frame shows no product.
  BLEMISH_VERDICT_DEFECTIVE = 1,
  // The score is below the threshold, but reaches the lower one from which a person decides.
  BLEMISH_VERDICT_REVIEW = 2,
} blemish_verdict;

// A fitted detector. Not an address: it can only be given to functions of this library.
typedef struct blemish_model blemish_model;

// What a detector says of one image. Not an address: it can only be given to functions of this library.
typedef struct blemish_prediction blemish_prediction;

// An image in the caller's memory, which is only read, and only during the call.
typedef struct {
  // The first pixel of the first row; the top row comes first.
  const void *data;
  // Bytes that may be read from `data` on.
  size_t size;
  // Bytes from the start of a row to the start of the next; 0: rows follow each other without a gap.
  size_t stride;
  // Pixels of a row.
  uint32_t width;
  // Rows.
  uint32_t height;
  // A `blemish_format`.
  uint32_t format;
} blemish_image;

// A connected part of the image that is anomalous: its box, in pixels of the image.
typedef struct {
  // Leftmost column.
  uint32_t x;
  // Topmost row.
  uint32_t y;
  // Columns, at least 1.
  uint32_t width;
  // Rows, at least 1.
  uint32_t height;
  // Pixels of the region itself.
  uint64_t area;
  // The largest value of the map in it.
  float peak;
} blemish_region;

// What a prediction says. Pointers lead into the prediction and are good until it is freed.
//
// Later versions may add members at the end; `struct_size` says how many of them the caller knows.
typedef struct {
  // To be set to `sizeof(blemish_result)` by the caller.
  size_t struct_size;
  // The image's score, higher = more defective.
  float score;
  // The threshold that it was compared with.
  float threshold;
  // A `blemish_verdict`.
  uint32_t verdict;
  // From which value of the map on a pixel belongs to a region, if it also has a quarter of the region's peak; infinite where none is
  // outlined.
  float outlined_from;
  // The lower threshold, from which on a person decides; NaN where there is none.
  float review_threshold;
  // Share of the image that was inspected, 0 to 1.
  float inspected;
  // Why, a word: "normal", "anomaly", "blank", "no_product"; later versions may have others. Never null.
  const char *reason;
  // `region_count` regions, the most anomalous first.
  const blemish_region *regions;
  // How many there are.
  size_t region_count;
  // The anomaly map of the whole image, `map_height` rows of `map_width` values.
  const float *map;
  // Rows of the map.
  size_t map_height;
  // Columns of the map.
  size_t map_width;
} blemish_result;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The library's version, such as "0.1.0".
const char *blemish_version(void);

// What went wrong in the last call on this thread that failed, UTF-8; empty before that, never null. It is good until the next
// failure on this thread.
const char *blemish_last_error(void);

// Loads the model file at `path` (UTF-8 on Windows, elsewhere as the system has it) and writes the model to `*model`, to be
// freed by `blemish_free`. On failure `*model` is null.
//
// # Safety
// `path` must end with a zero byte; `model` must be writable.
blemish_status blemish_load(const char *path, blemish_model **model);

// Loads the `size` bytes of a model file and writes the model to `*model`, to be freed by `blemish_free`. The bytes are not
// needed any more afterwards. On failure `*model` is null.
//
// # Safety
// `bytes` must be readable for `size` bytes; `model` must be writable.
blemish_status blemish_load_memory(const uint8_t *bytes, size_t size, blemish_model **model);

// Frees a model; null is allowed. Predictions in progress on other threads end as they would have.
blemish_status blemish_free(blemish_model *model);

// Scores an image and locates defects; writes the answer to `*prediction`, to be freed by `blemish_prediction_free`. On failure
// `*prediction` is null. Any number of threads may predict with one model at the same time.
//
// # Safety
// `image` must be readable, as must `image->size` bytes from `image->data` on, which nobody may write meanwhile; `prediction` must
// be writable.
blemish_status blemish_predict(const blemish_model *model,
                               const blemish_image *image,
                               blemish_prediction **prediction);

// Reads the image file at `path` (PNG, JPEG, BMP, TIFF, WebP, PNM), then as `blemish_predict`.
//
// # Safety
// `path` must end with a zero byte; `prediction` must be writable.
blemish_status blemish_predict_file(const blemish_model *model, const char *path, blemish_prediction **prediction);

// Writes what a prediction says to `*result`, whose `struct_size` the caller has set to `sizeof(blemish_result)`. Its pointers are
// good until the prediction is freed.
//
// # Safety
// `result` must be readable and writable for `result->struct_size` bytes.
blemish_status blemish_prediction_get(const blemish_prediction *prediction,
                                      blemish_result *result);

// Frees a prediction; null is allowed.
blemish_status blemish_prediction_free(blemish_prediction *prediction);

// Writes the score from which on an image is defective to `*threshold`.
//
// # Safety
// `threshold` must be writable.
blemish_status blemish_threshold(const blemish_model *model, float *threshold);

// From now on an image is defective when its score is at least `threshold`, a finite number.
blemish_status blemish_set_threshold(blemish_model *model, float threshold);

// From now on the threshold is that which the share `fpr` of good images is expected to exceed, 0.000001 or more and below 1.
blemish_status blemish_set_fpr(blemish_model *model, double fpr);

// From now on each prediction has so many threads of its own, at most 1024; 0, as a model is loaded: all predictions share one
// thread for each core. 1 is best where as many threads predict at once as there are cores. Scores do not depend on it.
blemish_status blemish_set_threads(blemish_model *model, size_t threads);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BLEMISH_H */
