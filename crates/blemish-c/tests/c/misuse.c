// Whatever is done to the library is an error with a message, never a crash: misuse MODEL
#define _GNU_SOURCE
#include <blemish.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int failures = 0;

// The call must give this status, and a message that holds `said`.
static void expect(int line, blemish_status status, blemish_status wanted, const char *said) {
  const char *message = blemish_last_error();
  if (status != wanted || (wanted != BLEMISH_STATUS_OK && !strstr(message, said))) {
    fprintf(stderr, "line %d: status %d, wanted %d with \"%s\": %s\n", line, (int)status, (int)wanted, said, message);
    failures++;
  }
}
#define REFUSED(status, call, said) expect(__LINE__, (call), BLEMISH_STATUS_##status, said)
#define WORKS(call) expect(__LINE__, (call), BLEMISH_STATUS_OK, "")
#define TRUE(condition) \
  if (!(condition)) fprintf(stderr, "line %d: %s\n", __LINE__, #condition), failures++

static void loading(const char *path) {
  blemish_model *model = (blemish_model *)1;
  REFUSED(ARGUMENT, blemish_load(NULL, &model), "path is null");
  TRUE(model == NULL);
  REFUSED(ARGUMENT, blemish_load(path, NULL), "model is null");
  REFUSED(IO, blemish_load("no/such/file", &model), "no/such/file");
  REFUSED(IO, blemish_load("/", &model), "/");
  REFUSED(IO, blemish_load("/dev/null", &model), "/dev/null: is a pipe, socket or device");
  REFUSED(ARGUMENT, blemish_load_memory(NULL, 0, &model), "bytes is null");
  REFUSED(ARGUMENT, blemish_load_memory((const uint8_t *)"", SIZE_MAX, &model), "more than memory");
  REFUSED(MODEL, blemish_load_memory((const uint8_t *)"", 0, &model), "safetensors");
  REFUSED(MODEL, blemish_load_memory((const uint8_t *)"no model at all", 15, &model), "safetensors");
  TRUE(model == NULL);

  // A file that is cut short anywhere, or changed, is refused.
  FILE *file = fopen(path, "rb");
  static uint8_t bytes[1 << 24];
  size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  for (size_t cut = 0; cut < size; cut += 1000) {
    // Of exactly that size, so that AddressSanitizer sees a byte read beyond it.
    uint8_t *copy = malloc(cut ? cut : 1);
    memcpy(copy, bytes, cut);
    REFUSED(MODEL, blemish_load_memory(copy, cut, &model), "");
    free(copy);
  }
  // Bytes changed by chance, mostly in the header, where sizes are: refused, or a model that answers or refuses to.
  uint64_t header = 0, state = 88172645463325252u;
  memcpy(&header, bytes, sizeof header);
  uint8_t *copy = malloc(size);
  for (int round = 0; round < 1000; round++) {
    memcpy(copy, bytes, size);
    for (int change = 0; change < 1 + round % 3; change++) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      size_t range = round % 4 ? 8 + (size_t)header : size;
      size_t at = (size_t)(state % range);
      uint8_t value = (uint8_t)(state >> 40);
      // Numbers stay numbers, so that the change is not only seen by the parser.
      copy[at] = copy[at] >= '0' && copy[at] <= '9' ? (uint8_t)('0' + value % 10) : value;
    }
    blemish_status status = blemish_load_memory(copy, size, &model);
    if (status == BLEMISH_STATUS_OK) {
      static uint8_t pixels[64 * 64];
      blemish_image image = {pixels, sizeof pixels, 0, 64, 64, BLEMISH_FORMAT_GREY8};
      blemish_prediction *prediction;
      status = blemish_predict(model, &image, &prediction);
      TRUE(status != BLEMISH_STATUS_INTERNAL);
      blemish_prediction_free(prediction);
      WORKS(blemish_free(model));
    } else {
      TRUE(status == BLEMISH_STATUS_MODEL);
    }
  }
  free(copy);
  WORKS(blemish_load_memory(bytes, size, &model));
  WORKS(blemish_free(model));
}

static void handles(const char *path) {
  blemish_model *model, *other;
  blemish_prediction *prediction, *none = NULL;
  uint8_t pixels[64 * 64 * 3] = {0};
  blemish_image image = {pixels, sizeof pixels, 0, 64, 64, BLEMISH_FORMAT_RGB8};
  blemish_result result = {.struct_size = sizeof result};
  float threshold;
  WORKS(blemish_load(path, &model));
  WORKS(blemish_predict(model, &image, &prediction));
  WORKS(blemish_prediction_get(prediction, &result));

  REFUSED(ARGUMENT, blemish_predict(NULL, &image, &none), "model is null");
  REFUSED(ARGUMENT, blemish_predict(model, NULL, &none), "image is null");
  REFUSED(ARGUMENT, blemish_predict(model, &image, NULL), "prediction is null");
  REFUSED(ARGUMENT, blemish_predict_file(model, NULL, &none), "path is null");
  REFUSED(IO, blemish_predict_file(model, "no/such/image", &none), "no/such/image");
  REFUSED(ARGUMENT, blemish_prediction_get(NULL, &result), "prediction is null");
  REFUSED(ARGUMENT, blemish_prediction_get(prediction, NULL), "result is null");
  REFUSED(ARGUMENT, blemish_prediction_get(prediction, (blemish_result *)((char *)&result + 1)), "not aligned");
  blemish_result unset = {0};
  REFUSED(ARGUMENT, blemish_prediction_get(prediction, &unset), "struct_size 0");
  REFUSED(ARGUMENT, blemish_threshold(model, NULL), "threshold is null");
  REFUSED(ARGUMENT, blemish_set_threshold(model, NAN), "not finite");
  REFUSED(ARGUMENT, blemish_set_threshold(model, INFINITY), "not finite");
  REFUSED(ARGUMENT, blemish_set_threads(model, 1 << 20), "1024");
  REFUSED(CONFIG, blemish_set_fpr(model, 0), "score.fpr");
  REFUSED(CONFIG, blemish_set_fpr(model, NAN), "score.fpr");
  TRUE(none == NULL);

  // What was never a handle, or one of something else.
  void *heap = malloc(64);
  void *foreign[] = {(void *)1, (void *)-1, &image, heap, prediction, (char *)model + 1, (char *)model + (1 << 24)};
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    REFUSED(HANDLE, blemish_predict(foreign[i], &image, &none), "never was a model");
    REFUSED(HANDLE, blemish_free(foreign[i]), "never was a model");
    REFUSED(HANDLE, blemish_set_threshold(foreign[i], 1), "never was a model");
    REFUSED(HANDLE, blemish_threshold(foreign[i], &threshold), "never was a model");
  }
  free(heap);
  REFUSED(HANDLE, blemish_prediction_free((void *)model), "never was a prediction");
  REFUSED(HANDLE, blemish_prediction_get((void *)model, &result), "never was a prediction");

  // Freed handles stay freed, though their places are used again.
  WORKS(blemish_prediction_free(prediction));
  REFUSED(HANDLE, blemish_prediction_free(prediction), "was freed");
  REFUSED(HANDLE, blemish_prediction_get(prediction, &result), "was freed");
  blemish_prediction *next;
  WORKS(blemish_predict(model, &image, &next));
  REFUSED(HANDLE, blemish_prediction_get(prediction, &result), "was freed");
  WORKS(blemish_free(model));
  REFUSED(HANDLE, blemish_free(model), "was freed");
  WORKS(blemish_load(path, &other));
  REFUSED(HANDLE, blemish_predict(model, &image, &none), "was freed");
  WORKS(blemish_prediction_get(next, &result));  // it outlives its model
  WORKS(blemish_prediction_free(next));
  WORKS(blemish_free(other));
  WORKS(blemish_free(NULL));
  WORKS(blemish_prediction_free(NULL));
}

static void images(const char *path) {
  blemish_model *model;
  blemish_prediction *prediction = NULL;
  WORKS(blemish_load(path, &model));
  uint8_t pixels[64 * 64] = {0};
  const blemish_image good = {pixels, sizeof pixels, 0, 64, 64, BLEMISH_FORMAT_GREY8};
#define IMAGE(change, said)                                                \
  do {                                                                     \
    blemish_image image = good;                                            \
    change;                                                                \
    REFUSED(IMAGE, blemish_predict(model, &image, &prediction), said);     \
    TRUE(prediction == NULL);                                              \
  } while (0)
  IMAGE(image.data = NULL, "data is null");
  IMAGE(image.size = 0, "too few");
  IMAGE(image.size = sizeof pixels - 1, "too few");
  IMAGE(image.width = 0, "no pixels");
  IMAGE(image.height = 0, "no pixels");
  IMAGE(image.width = UINT32_MAX, "too few");
  IMAGE(image.height = UINT32_MAX, "too few");
  IMAGE((image.width = UINT32_MAX, image.height = UINT32_MAX, image.format = BLEMISH_FORMAT_RGB16), "more than memory");
  IMAGE((image.stride = SIZE_MAX), "more than memory");
  IMAGE((image.stride = SIZE_MAX / 2, image.size = SIZE_MAX), "more than memory");
  IMAGE((image.data = (void *)(UINTPTR_MAX - 8)), "address space");
  IMAGE(image.stride = 63, "a row has 64 bytes");
  IMAGE(image.stride = 65, "too few");
  IMAGE(image.format = 0, "format 0");
  IMAGE(image.format = 99, "format 99");
  IMAGE(image.format = BLEMISH_FORMAT_RGB8, "too few");

  // 100 million pixels are the limit: memory for more is not asked for. The buffer is there, but nothing of it is in memory yet.
  const size_t side = 10001;
  uint8_t *huge = mmap(NULL, side * side, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TRUE(huge != MAP_FAILED);
  IMAGE((image.data = huge, image.size = side * side, image.width = image.height = (uint32_t)side), "max_pixels");
  munmap(huge, side * side);

  // Not a byte beyond the buffer is read, and none is written: it ends at a page that may not be touched.
  size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 16 * page;
  uint8_t *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TRUE(memory != MAP_FAILED && mprotect(memory + room, page, PROT_NONE) == 0);
  memset(memory, 77, room);
  TRUE(mprotect(memory, room, PROT_READ) == 0);
  const size_t bytes[] = {0, 1, 3, 3, 2, 6, 6};
  for (uint32_t format = BLEMISH_FORMAT_GREY8; format <= BLEMISH_FORMAT_BGR16; format++) {
    for (size_t gap = 0; gap < 3; gap++) {
      for (size_t before_end = 0; before_end < 2; before_end++) {
        size_t row = 33 * bytes[format], stride = row + gap, size = 40 * stride + row;
        blemish_image image = {memory + room - size - before_end, size, stride, 33, 41, format};
        WORKS(blemish_predict(model, &image, &prediction));
        WORKS(blemish_prediction_free(prediction));
      }
    }
  }
  munmap(memory, room + page);
  WORKS(blemish_free(model));
}

static void thresholds(const char *path) {
  blemish_model *model;
  float first, second;
  WORKS(blemish_load(path, &model));
  WORKS(blemish_threshold(model, &first));
  WORKS(blemish_set_threshold(model, 0.25f));
  WORKS(blemish_threshold(model, &second));
  TRUE(second == 0.25f);
  WORKS(blemish_set_fpr(model, 0.05));
  WORKS(blemish_threshold(model, &second));
  TRUE(second == first);
  WORKS(blemish_set_fpr(model, 0.001));
  WORKS(blemish_threshold(model, &second));
  TRUE(second > first);
  WORKS(blemish_free(model));
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  TRUE(blemish_last_error()[0] == 0);
  TRUE(strlen(blemish_version()) >= 5);
  loading(argv[1]);
  handles(argv[1]);
  images(argv[1]);
  thresholds(argv[1]);
  if (failures == 0) puts("misuse: every fault was refused");
  return failures != 0;
}
