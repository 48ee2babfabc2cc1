// Many threads on one model give what one gives, to the last bit, while another changes the threshold: threads MODEL IMAGE
#include <blemish.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 6, TIMES = 12 };

static blemish_model *model;
static blemish_result expected;
static const char *path;
static atomic_int wrong;

static void *work(void *unused) {
  (void)unused;
  for (int i = 0; i < TIMES; i++) {
    blemish_prediction *prediction;
    blemish_result result = {.struct_size = sizeof result};
    if (blemish_predict_file(model, path, &prediction) || blemish_prediction_get(prediction, &result)) {
      fprintf(stderr, "%s\n", blemish_last_error());
      wrong++;
      return NULL;
    }
    size_t bytes = expected.map_height * expected.map_width * sizeof(float);
    if (result.score != expected.score || memcmp(result.map, expected.map, bytes) != 0) wrong++;
    blemish_prediction_free(prediction);
    // Messages belong to their thread.
    if (blemish_free((blemish_model *)42) != BLEMISH_STATUS_HANDLE || !strstr(blemish_last_error(), "never was")) wrong++;
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  path = argv[2];
  blemish_prediction *first;
  expected.struct_size = sizeof expected;
  if (blemish_load(argv[1], &model) || blemish_predict_file(model, path, &first) || blemish_prediction_get(first, &expected)) {
    fprintf(stderr, "%s\n", blemish_last_error());
    return 2;
  }
  for (size_t own = 0; own < 3; own++) {
    pthread_t threads[THREADS];
    blemish_set_threads(model, own);
    for (int t = 0; t < THREADS; t++)
      if (pthread_create(&threads[t], NULL, work, NULL)) return 3;
    for (int i = 0; i < 100; i++) blemish_set_threshold(model, (float)i);
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
  }
  blemish_prediction_free(first);
  blemish_free(model);
  if (!wrong) puts("threads: all alike");
  return wrong != 0;
}
