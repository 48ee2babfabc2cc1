// Many threads on one model give what one gives, to the last bit, while another changes the threshold: threads MODEL IMAGE
#define _GNU_SOURCE
#include <blemish.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

// One model and one prediction, freed by every thread while others still use them: exactly one frees, none sees anything but an
// answer or BLEMISH_STATUS_HANDLE.
static blemish_model *shared;
static blemish_prediction *seen;
static atomic_int freed, freed_seen, started;

static void *race(void *number) {
  started++;
  while (started < THREADS) {
  }
  for (int i = 0; i < 3; i++) {
    blemish_prediction *prediction;
    blemish_result result = {.struct_size = sizeof result};
    blemish_status status = blemish_predict_file(shared, path, &prediction);
    if (status == BLEMISH_STATUS_OK) {
      if (blemish_prediction_get(prediction, &result) || result.score != expected.score) wrong++;
      if (blemish_prediction_free(prediction) || blemish_prediction_free(prediction) != BLEMISH_STATUS_HANDLE) wrong++;
    } else if (status != BLEMISH_STATUS_HANDLE || prediction != NULL) {
      wrong++;
    }
    if (i == *(const int *)number % 3) {
      status = blemish_free(shared);
      if (status == BLEMISH_STATUS_OK) freed++;
      else if (status != BLEMISH_STATUS_HANDLE) wrong++;
      status = blemish_prediction_free(seen);
      if (status == BLEMISH_STATUS_OK) freed_seen++;
      else if (status != BLEMISH_STATUS_HANDLE) wrong++;
    }
  }
  return NULL;
}

static void races(const char *model_path) {
  for (int round = 0; round < 10; round++) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    freed = freed_seen = started = 0;
    if (blemish_load(model_path, &shared) || blemish_predict_file(shared, path, &seen)) wrong++;
    for (int t = 0; t < THREADS; t++) {
      numbers[t] = t + round;
      if (pthread_create(&threads[t], NULL, race, &numbers[t])) exit(3);
    }
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    if (freed != 1 || freed_seen != 1) wrong++;
  }
}

// A child that fork made has none of the threads that its parent's predictions started.
static void forks(void) {
  for (size_t own = 0; own < 2; own++) {
    blemish_set_threads(model, own);
    blemish_prediction *prediction;
    blemish_result result = {.struct_size = sizeof result};
    if (blemish_predict_file(model, path, &prediction) || blemish_prediction_free(prediction)) wrong++;
    pid_t child = fork();
    if (child == 0) {
      alarm(60);
      int bad = blemish_predict_file(model, path, &prediction) || blemish_prediction_get(prediction, &result);
      _exit(bad || result.score != expected.score);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) wrong++;
  }
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
  forks();
  races(argv[1]);
  blemish_prediction_free(first);
  blemish_free(model);
  if (!wrong) puts("threads: all alike");
  return wrong != 0;
}
