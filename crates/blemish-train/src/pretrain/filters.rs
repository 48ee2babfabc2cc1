//! What a convolutional stem begins with before it is pre-trained: plain filters, so that training starts from what they see.
//!
//! Every convolution, at half the resolution of the one before, has five filters (four derivatives and the Laplacian), each with both
//! signs, because GELU lets only positive values through; a mean and two differences of colours, likewise. The second and third also
//! pass on, blurred, how strongly the filters below responded (their energy: the sum of both signs is about the magnitude).
//! `reference/filters.py` makes the same.

use blemish::engine::Weights;

/// Factor of a filter's response at the first scale, so that GELU is nearly a rectifier.
const GAIN: f32 = 20.0;
/// Factor of the means at the first scale.
const MEAN_GAIN: f32 = 5.0;
/// Factor of the filters of the second and third convolution, whose input has that factor already.
const AGAIN: f32 = 4.0;
/// Middle of the grey levels of a normalised image.
const MIDDLE: f32 = 0.5;
/// Share of their own random weights that the channels beyond the filters begin with.
const BEYOND: f32 = 0.3;

type Kernel = [[f32; 3]; 3];

const BLUR: Kernel = outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]);
/// Derivatives across, down and along both diagonals, and the Laplacian.
const FILTERS: [Kernel; 5] = [
    outer([0.25, 0.5, 0.25], [-0.5, 0.0, 0.5]),
    outer([-0.5, 0.0, 0.5], [0.25, 0.5, 0.25]),
    scaled([[-2.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]], 1.0 / 6.0),
    scaled([[0.0, -1.0, -2.0], [1.0, 0.0, -1.0], [2.0, 1.0, 0.0]], 1.0 / 6.0),
    scaled([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], 0.25),
];
/// Grey, and two differences of red, green and blue.
const COLOURS: [[f32; 3]; 3] = [[1.0 / 3.0; 3], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]];
const SIGNS: [f32; 2] = [1.0, -1.0];

/// Puts plain filters in the place of the first outputs of the stem's first three convolutions; the others begin smaller. A
/// convolution that is too narrow for them stays as it is, and so do those above it.
pub fn begin_with_filters(weights: &mut Weights) {
    for (i, filters) in plain_filters().iter().enumerate() {
        let [weight, bias] = ["weight", "bias"].map(|name| format!("stem.convs.{i}.{name}"));
        let (Some(kernels), Some(biases)) = (weights.get(&weight), weights.get(&bias)) else { return };
        if !filters.fit(&kernels.values, &biases.values) {
            return;
        }
        let (mut kernels, mut biases) = (kernels.clone(), biases.clone());
        filters.put(&mut kernels.values, &mut biases.values);
        weights.extend([(weight, kernels), (bias, biases)]);
    }
}

/// The filters of one convolution.
struct Filters {
    /// Channels that they are of.
    inputs: usize,
    /// By output, its kernel of every input that it has one of.
    rows: Vec<Vec<(usize, Kernel)>>,
    biases: Vec<f32>,
}

impl Filters {
    /// Whether a convolution has room for them: weights `[9 inputs, outputs]`, biases `[outputs]`.
    fn fit(&self, weights: &[f32], biases: &[f32]) -> bool {
        biases.len() >= self.rows.len() && weights.len() >= 9 * self.inputs * biases.len()
    }

    fn put(&self, weights: &mut [f32], biases: &mut [f32]) {
        let outputs = biases.len();
        let inputs = weights.len() / 9 / outputs;
        weights.iter_mut().for_each(|v| *v *= BEYOND);
        for (output, row) in self.rows.iter().enumerate() {
            (0..9 * inputs).for_each(|at| weights[at * outputs + output] = 0.0);
            for (input, kernel) in row {
                for (at, v) in kernel.as_flattened().iter().enumerate() {
                    weights[(at * inputs + input) * outputs + output] = *v;
                }
            }
        }
        biases[..self.biases.len()].copy_from_slice(&self.biases);
    }
}

/// The filters of the first three convolutions, for images of three channels.
fn plain_filters() -> [Filters; 3] {
    let of_colour = |kernel: Kernel, colour: [f32; 3]| -> Vec<(usize, Kernel)> {
        (0..3).map(|i| (i, scaled(kernel, colour[i]))).collect()
    };
    let responses = FILTERS.map(|k| SIGNS.map(|sign| of_colour(scaled(k, sign * GAIN), COLOURS[0])));
    let means = COLOURS.map(|colour| SIGNS.map(|sign| of_colour(scaled(BLUR, sign * MEAN_GAIN), colour)));
    let rows: Vec<_> = responses.into_iter().chain(means).flatten().collect();
    let mut biases = vec![0.0; rows.len()];
    // Grey levels are counted from the middle.
    biases[2 * FILTERS.len()..][..2].copy_from_slice(&SIGNS.map(|sign| -sign * MEAN_GAIN * MIDDLE));
    let first = Filters { inputs: 3, rows, biases };
    let second = above(first.rows.len(), 0);
    let third = above(second.rows.len(), FILTERS.len());
    [first, second, third]
}

/// The filters of a convolution whose inputs are so many energies, then responses, then means.
fn above(inputs: usize, energies: usize) -> Filters {
    let (filters, means) = (energies, energies + 2 * FILTERS.len());
    // What GELU lets through of a value and of its negative, subtracted, is the value.
    let signed = |at: usize, kernel: Kernel| {
        SIGNS.map(|sign| vec![(at, scaled(kernel, sign)), (at + 1, scaled(kernel, -sign))])
    };
    let kept = (0..energies).map(|i| vec![(i, BLUR)]);
    let magnitudes = (0..FILTERS.len()).map(|i| vec![(filters + 2 * i, BLUR), (filters + 2 * i + 1, BLUR)]);
    let responses = FILTERS.iter().flat_map(|k| signed(means, scaled(*k, AGAIN)));
    let passed = (0..COLOURS.len()).flat_map(|i| signed(means + 2 * i, BLUR));
    let rows: Vec<_> = kept.chain(magnitudes).chain(responses).chain(passed).collect();
    Filters { inputs, biases: vec![0.0; rows.len()], rows }
}

const fn outer(down: [f32; 3], across: [f32; 3]) -> Kernel {
    let mut out = [[0.0; 3]; 3];
    let mut at = 0;
    while at < 9 {
        out[at / 3][at % 3] = down[at / 3] * across[at % 3];
        at += 1;
    }
    out
}

const fn scaled(kernel: Kernel, factor: f32) -> Kernel {
    let mut out = kernel;
    let mut at = 0;
    while at < 9 {
        out[at / 3][at % 3] *= factor;
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use blemish::engine::Array;

    fn stem(widths: [usize; 4]) -> Weights {
        let array = |shape: Vec<usize>| Array { values: vec![1.0; shape.iter().product()], shape };
        let convolution = |(i, w): (usize, &[usize])| {
            let [weight, bias] = ["weight", "bias"].map(|name| format!("stem.convs.{i}.{name}"));
            [(weight, array(vec![9 * w[0], w[1]])), (bias, array(vec![w[1]]))]
        };
        widths.windows(2).enumerate().flat_map(convolution).collect()
    }

    #[test]
    fn filters_take_the_first_outputs_and_the_others_begin_smaller() {
        let mut weights = stem([3, 24, 48, 96]);
        begin_with_filters(&mut weights);
        for (i, filters) in [16, 21, 26].into_iter().enumerate() {
            let weight = &weights[&format!("stem.convs.{i}.weight")];
            for row in weight.values.chunks_exact(weight.shape[1]) {
                assert!(row[filters..].iter().all(|v| *v == BEYOND), "{row:?}");
            }
            // A derivative and the Laplacian see nothing where all is alike, a mean sees that.
            let sum = |output: usize| -> f32 {
                weight.values.chunks_exact(weight.shape[1]).map(|row| row[output]).sum()
            };
            let first_response = if i == 0 { 0 } else { 5 * i };
            let [response, mean] = [first_response, first_response + 10];
            assert!((response..mean).all(|output| sum(output).abs() < 1e-5));
            assert!((sum(mean).abs() - if i == 0 { MEAN_GAIN } else { 0.0 }).abs() < 1e-5, "{}", sum(mean));
        }
        // A grey image of the middle level gives a mean of 0.
        let bias = &weights["stem.convs.0.bias"].values;
        assert_eq!(bias[10..12], [-MEAN_GAIN * MIDDLE, MEAN_GAIN * MIDDLE]);
    }

    #[test]
    fn a_ramp_is_seen_by_what_derives_along_it() {
        let mut weights = stem([3, 24, 48, 96]);
        begin_with_filters(&mut weights);
        let kernels = &weights["stem.convs.0.weight"];
        // Of a ramp that rises by 1 a pixel to the right, in all three channels.
        let response = |output: usize| -> f32 {
            let at = |row: usize| (row / 3 % 3) as f32 * kernels.values[row * kernels.shape[1] + output];
            (0..27).map(at).sum()
        };
        let wanted = [GAIN, -GAIN, 0.0, 0.0];
        wanted.iter().enumerate().for_each(|(output, v)| assert!((response(output) - v).abs() < 1e-4));
        // Along one diagonal it rises, along the other, whose way is to the left, it falls; it has no curvature.
        assert!((response(4) - GAIN).abs() < 1e-4 && (response(6) + GAIN).abs() < 1e-4);
        assert!(response(8).abs() < 1e-4);
    }

    #[test]
    fn a_stem_that_is_too_narrow_stays_as_it_is() {
        for widths in [[3, 8, 48, 96], [1, 24, 48, 96]] {
            let mut weights = stem(widths);
            begin_with_filters(&mut weights);
            assert_eq!(weights, stem(widths));
        }
        // The first has room, the second has not.
        let mut weights = stem([3, 24, 20, 96]);
        begin_with_filters(&mut weights);
        let all = stem([3, 24, 20, 96]);
        assert_ne!(weights["stem.convs.0.weight"], all["stem.convs.0.weight"]);
        assert_eq!(weights["stem.convs.1.weight"], all["stem.convs.1.weight"]);
        assert_eq!(weights["stem.convs.2.weight"], all["stem.convs.2.weight"]);
    }
}
