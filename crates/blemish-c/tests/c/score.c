// As examples/score.rs, through the C library: score MODEL FILE...
#include <blemish.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(blemish_status status) {
  if (status != BLEMISH_STATUS_OK) {
    fprintf(stderr, "%s\n", blemish_last_error());
    exit(2);
  }
}

static unsigned char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) exit(3);
  *size = (size_t)ftell(file);
  rewind(file);
  unsigned char *bytes = malloc(*size);
  if (!bytes || fread(bytes, 1, *size, file) != *size) exit(3);
  fclose(file);
  return bytes;
}

static uint32_t bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  // From memory: that it gives the same as from a file is seen by comparing with Rust.
  size_t size;
  unsigned char *bytes = read_file(argv[1], &size);
  blemish_model *model;
  check(blemish_load_memory(bytes, size, &model));
  free(bytes);
  for (int i = 2; i < argc; i++) {
    char name[256];
    const char *slash = strrchr(argv[i], '/');
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : argv[i]);
    char *dot = strrchr(name, '.');
    blemish_prediction *prediction;
    if (dot && strcmp(dot, ".raw") == 0) {
      blemish_image image;
      memset(&image, 0, sizeof image);
      if (sscanf(name, "%u-%u-%u-%zu", &image.width, &image.height, &image.format, &image.stride) != 4) return 4;
      unsigned char *data = read_file(argv[i], &image.size);
      image.data = data;
      check(blemish_predict(model, &image, &prediction));
      free(data);
    } else {
      check(blemish_predict_file(model, argv[i], &prediction));
    }
    if (dot) *dot = 0;
    blemish_result result = {.struct_size = sizeof result};
    check(blemish_prediction_get(prediction, &result));
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t p = 0; p < result.map_height * result.map_width; p++) {
      uint32_t value = bits(result.map[p]);
      for (int b = 0; b < 4; b++) hash = (hash ^ (value >> (8 * b) & 0xff)) * 0x100000001b3u;
    }
    printf("%s %08x %08x %u %zu %zux%zu %016llx\n", name, bits(result.score), bits(result.threshold), result.verdict == BLEMISH_VERDICT_DEFECTIVE,
           result.region_count, result.map_height, result.map_width, (unsigned long long)hash);
    check(blemish_prediction_free(prediction));
  }
  check(blemish_free(model));
  return 0;
}
