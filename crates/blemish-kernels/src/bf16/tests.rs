use super::*;
use crate::panels::{Matrix, pack};
use crate::testing::{assert_close, random, sizes, wide};

fn rounded(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&x| f32::from_bits(round(x) << 16)).collect()
}

#[test]
fn rounding_is_that_of_the_instructions() {
    let ties =
        [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -1.0 - 1.0 / 256.0, f32::MAX, f32::MIN, f32::INFINITY, 0.0];
    let x: Vec<f32> = random(57, 1).into_iter().chain(ties).collect();
    let mut words = [vec![0.0; 32], vec![0.0; 32]];
    pairs(&x, &mut words[0]);
    plain_pairs(&x, &mut words[1]);
    let [ours, plain] = words.map(|words| words.iter().map(|w| w.to_bits()).collect::<Vec<_>>());
    assert_eq!(ours, plain);
    assert_eq!(round(1.0 + 1.0 / 256.0), 0x3f80);
    assert_eq!(round(1.0 + 3.0 / 256.0), 0x3f82);
    assert!(f32::from_bits(round(f32::NAN) << 16).is_nan());
    for (&x, rounded) in x.iter().zip(rounded(&x)) {
        assert!(x == rounded || (x - rounded).abs() <= x.abs() / 256.0 || rounded.is_infinite());
    }
}

#[test]
fn any_size_matches_f64() {
    for &n in sizes(&[7, 25, 1, 8, 9, 16, 24, 40, 48, 65, 72], 2) {
        for &[rows, k, gap] in sizes(&[[1, 2, 0], [5, 6, 2], [13, 34, 4], [31, 70, 0]], 2) {
            let lines = 2;
            let (x_row, x_line) = (k + gap, 2 * rows * (k + gap));
            let (x, w) = (random(lines * x_line, 1), random(k * n, 2));
            let (bias, before) = (random(n, 3), random(lines * rows * n, 4));
            let (mut x_words, mut w_words) = (vec![0.0; x.len() / 2], vec![0.0; w.len() / 2]);
            pairs(&x, &mut x_words);
            row_pairs(&w, n, n, &mut w_words);
            let mut packed = vec![0.0; Panels::len(k / 2, n)];
            pack(&mut packed, k / 2, n, 0, k / 2, Matrix::rows(&w_words, n));
            let (x64, w64) = (wide(&rounded(&x)), wide(&rounded(&w)));
            for (kind, init) in [Init::Zero, Init::Bias(&bias), Init::Accumulate].into_iter().enumerate() {
                let expected: Vec<f64> = (0..lines * rows * n)
                    .map(|at| {
                        let (line, row, j) = (at / (rows * n), at / n % rows, at % n);
                        let start = [0.0, f64::from(bias[j]), f64::from(before[at])][kind];
                        let left = &x64[line * x_line + row * x_row..];
                        start + (0..k).map(|p| left[p] * w64[p * n + j]).sum::<f64>()
                    })
                    .collect();
                // Two runs of the inner dimension, as a convolution has.
                let first = k / 4;
                let segments =
                    [Segment { x: 0, k0: 0, k: first }, Segment { x: first, k0: first, k: k / 2 - first }];
                for plain in [false, true] {
                    let mut out = before.clone();
                    let mut product = Product16 {
                        x: &x_words,
                        x_line: x_line / 2,
                        x_row: x_row / 2,
                        x_k: 1,
                        segments: &segments,
                        panels: Panels::new(&packed, k / 2, n),
                        init,
                        lines,
                        rows,
                        out: &mut out,
                        out_line: rows * n,
                        out_row: n,
                    };
                    if plain {
                        product.plain()
                    } else {
                        product.run()
                    }
                    assert_close(&out, &expected, 2e-6);
                }
            }
        }
    }
}

#[test]
fn an_odd_row_is_paired_with_zero() {
    let x = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0, 5.0, 6.0];
    let mut words = [0.0; 4];
    row_pairs(&x, 3, 2, &mut words);
    let values: Vec<f32> = words.iter().flat_map(|&w| halves(w)).collect();
    assert_eq!(values, [1.0, 3.0, 2.0, 4.0, 5.0, 0.0, 6.0, 0.0]);
}
