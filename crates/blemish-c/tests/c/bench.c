// The C side of benches/embed.py: bench MODEL RAW TIMES answers each line of standard input with the seconds of one prediction.
#define _POSIX_C_SOURCE 200809L
#include <blemish.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned char pixels[256 * 256 * 3];

static void predict(const blemish_model *model) {
  blemish_image image = {pixels, sizeof pixels, 0, 256, 256, BLEMISH_FORMAT_RGB8};
  blemish_prediction *prediction;
  blemish_result result = {.struct_size = sizeof result};
  if (blemish_predict(model, &image, &prediction) || blemish_prediction_get(prediction, &result)) exit(2);
  blemish_prediction_free(prediction);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  FILE *file = fopen(argv[2], "rb");
  blemish_model *model;
  if (!file || fread(pixels, 1, sizeof pixels, file) != sizeof pixels || blemish_load(argv[1], &model)) return 2;
  fclose(file);
  int times = atoi(argv[3]);
  for (int i = 0; i < 3; i++) predict(model);
  printf("ready\n");
  fflush(stdout);
  char line[100];
  while (fgets(line, sizeof line, stdin)) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < times; i++) predict(model);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.9f\n", ((double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec)) / times);
    fflush(stdout);
  }
  return blemish_free(model);
}
