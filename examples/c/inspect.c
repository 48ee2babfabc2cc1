// Scores the image files that are named after the model: inspect MODEL IMAGE...
// cc inspect.c $(pkg-config --cflags --libs blemish) -o inspect
#include <blemish.h>
#include <stdio.h>

static const char *const verdicts[] = {"good", "defective", "review"};

static int failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, blemish_last_error());
  return 2;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: inspect MODEL IMAGE...\n");
    return 2;
  }
  blemish_model *model;
  if (blemish_load(argv[1], &model) != BLEMISH_STATUS_OK) return failed(argv[1]);
  int defective = 0;
  for (int i = 2; i < argc; i++) {
    blemish_prediction *prediction;
    if (blemish_predict_file(model, argv[i], &prediction) != BLEMISH_STATUS_OK) {
      blemish_free(model);
      return failed(argv[i]);
    }
    blemish_result result = {.struct_size = sizeof result};
    blemish_prediction_get(prediction, &result);
    defective |= result.verdict == BLEMISH_VERDICT_DEFECTIVE;
    printf("%s: %s (%s), score %.3f, threshold %.3f\n", argv[i], verdicts[result.verdict], result.reason, result.score,
           result.threshold);
    for (size_t r = 0; r < result.region_count; r++) {
      const blemish_region *region = &result.regions[r];
      printf("  %u x %u pixels at column %u, row %u, peak %.3f\n", region->width, region->height, region->x, region->y,
             region->peak);
    }
    blemish_prediction_free(prediction);
  }
  blemish_free(model);
  return defective;
}
