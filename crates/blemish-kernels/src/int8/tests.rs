use super::*;
use crate::testing::{assert_close, random, sizes, wide};

/// What `rows` must give: the rounded factors multiplied in `f64`.
fn expected(x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f64> {
    let outputs = bias.len();
    let inputs = w.len() / outputs;
    let scale = |values: &mut dyn Iterator<Item = f32>| {
        f64::from(values.fold(0.0, |a: f32, b| a.max(b.abs()))) / 127.0
    };
    let columns: Vec<(f64, Vec<f64>)> = (0..outputs)
        .map(|j| {
            let column: Vec<f32> = (0..inputs).map(|k| w[k * outputs + j]).collect();
            let scale = scale(&mut column.iter().copied());
            (scale, column.iter().map(|&v| (f64::from(v) / scale).round()).collect())
        })
        .collect();
    x.chunks_exact(inputs)
        .flat_map(|row| {
            let scale = scale(&mut row.iter().copied());
            let row: Vec<f64> = row.iter().map(|&v| (f64::from(v) / scale).round()).collect();
            let value = |(j, (column_scale, column)): (usize, &(f64, Vec<f64>))| {
                let sum: f64 = row.iter().zip(column).map(|(a, b)| a * b).sum();
                sum * scale * column_scale + f64::from(bias[j])
            };
            columns.iter().enumerate().map(value).collect::<Vec<f64>>()
        })
        .collect()
}

#[test]
fn any_size_matches_f64() {
    for &outputs in sizes(&[7, 25, 40, 1, 16, 32, 48, 65, 96], 3) {
        for &(rows, inputs) in sizes(&[(5, 8), (13, 4), (1, 4), (13, 36), (31, 72)], 2) {
            let (x, w) = (random(rows * inputs, 1), random(inputs * outputs, 2));
            let (bias, before) = (random(outputs, 3), random(rows * outputs, 4));
            let set = expected(&x, &w, &bias);
            let added: Vec<f64> = set.iter().zip(wide(&before)).map(|(a, b)| a + b).collect();
            for (write, expected) in [(Write::Set, set), (Write::Add, added)] {
                let given = |linear: Linear8| {
                    assert_eq!(linear.outputs(), outputs);
                    let mut out = before.clone();
                    linear.rows(&x, write, &mut out);
                    assert_close(&out, &expected, 2e-6);
                    out
                };
                let ours = given(Linear8::new(&w, bias.clone()));
                // As floats the same bits, on any machine. (Miri knows the 8-bit instructions, not the assembly by which
                // `pulp` stores floats where there are such.)
                if !(cfg!(miri) && available()) {
                    assert_eq!(ours, given(Linear8::packed(&w, bias.clone(), false)));
                }
            }
        }
    }
}

#[test]
fn the_error_is_that_of_the_rounding() {
    let (rows, inputs, outputs) = if cfg!(miri) { (8, 96, 16) } else { (9, 192, 48) };
    let (x, w) = (random(rows * inputs, 5), random(inputs * outputs, 6));
    let mut out = vec![0.0; rows * outputs];
    Linear8::new(&w, vec![0.0; outputs]).rows(&x, Write::Set, &mut out);
    let exact = (0..rows * outputs).map(|at| {
        let (i, j) = (at / outputs, at % outputs);
        (0..inputs).map(|k| f64::from(x[i * inputs + k]) * f64::from(w[k * outputs + j])).sum::<f64>()
    });
    let (mut off, mut size) = (0.0, 0.0);
    exact.zip(&out).for_each(|(exact, &out)| {
        off += (exact - f64::from(out)).powi(2);
        size += exact * exact;
    });
    // Either factor is off by 1 / (254 sqrt 3) of its largest value, in the mean square; values spread evenly are 1 / sqrt 3 of it.
    let relative = (off / size).sqrt();
    let predicted = 2.0f64.sqrt() / 254.0;
    assert!(relative < 1.3 * predicted && relative > 0.7 * predicted, "{relative} {predicted}");
}

#[test]
fn the_largest_sums_do_not_overflow() {
    let inputs = if cfg!(miri) { 512 } else { 4096 };
    // Summed as floats, more than 1,040 of them are rounded, by one part in 2^24 each at most.
    let off = if available() { 1e-2 } else { 3.0 * (inputs * inputs) as f32 / (1 << 24) as f32 };
    for sign in [1.0, -1.0] {
        let linear = Linear8::new(&vec![sign; inputs], vec![0.0]);
        let mut out = [0.0];
        linear.rows(&vec![3.0; inputs], Write::Set, &mut out);
        assert!((out[0] - sign * 3.0 * inputs as f32).abs() < off, "{}", out[0]);
    }
}

#[test]
fn rows_that_are_no_numbers_and_empty_ones() {
    let linear = Linear8::new(&random(8 * 20, 1), vec![0.5; 20]);
    for (bad, value) in [(f32::NAN, 1.0), (f32::INFINITY, 1.0), (f32::NEG_INFINITY, 0.0)] {
        let mut x = vec![value; 3 * 8];
        x[8 + 3] = bad;
        let mut out = vec![0.0; 3 * 20];
        linear.rows(&x, Write::Set, &mut out);
        assert!(out[20..40].iter().all(|v| !v.is_finite()), "{out:?}");
        assert!(out[..20].iter().chain(&out[40..]).all(|v| v.is_finite()), "{out:?}");
    }
    // A weight that is no number, with others after it in its column.
    let mut w = random(8 * 20, 1);
    w[2 * 20 + 7] = f32::NAN;
    let mut out = vec![0.0; 20];
    Linear8::new(&w, vec![0.5; 20]).rows(&[1.0; 8], Write::Set, &mut out);
    assert!(out.iter().enumerate().all(|(j, v)| v.is_nan() == (j == 7)), "{out:?}");
    linear.rows(&[0.0; 8], Write::Set, &mut out);
    assert_eq!(out, [0.5; 20]);
    // A column of zeros.
    Linear8::new(&[0.0; 8], vec![2.0]).rows(&[1.0; 8], Write::Set, &mut out[..1]);
    assert_eq!(out[0], 2.0);
}
