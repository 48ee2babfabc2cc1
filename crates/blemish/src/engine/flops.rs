//! How much arithmetic a forward pass is.

use crate::config::{Head, ModelConfig, PatchEmbed};

impl ModelConfig {
    /// Floating-point operations of one unmasked forward pass of one image: two for every multiply-add of the
    /// matrix products, convolutions and attention; element-wise work, a few per cent, is left out.
    pub fn flops(&self, image_size: [usize; 2], channels: usize) -> u64 {
        let pixels = image_size[0] * image_size[1];
        let n = pixels / (self.patch_size * self.patch_size);
        let (d, e) = (self.embed_dim, self.decoder_embed_dim);
        let patch = self.patch_size * self.patch_size * channels;
        let at_stride = |s: usize| pixels / (s * s);
        let embed = match self.patch_embed {
            PatchEmbed::Linear => n * patch * d,
            PatchEmbed::ConvStem => {
                let widths: Vec<usize> = [&[channels], self.stem_dims.as_slice(), &[d]].concat();
                let level = |(i, w): (usize, &[usize])| at_stride(2 << i) * 9 * w[0] * w[1];
                widths.windows(2).enumerate().map(level).sum()
            }
        };
        let encoder = self.depth * (n * d * (4 * d + 2 * self.mlp_dim()) + 2 * n * n * d);
        let aggregation = n * d * 7 * d;
        let cross = n * (2 * e * e + 2 * d * e) + 2 * n * n * e;
        let own = n * 4 * e * e + 2 * n * n * e;
        let decoder = n * d * e + self.decoder_depth * (own + cross + 2 * n * e * self.decoder_mlp_dim());
        let head = match self.head {
            Head::Linear => n * e * patch,
            Head::Pyramid => {
                let skip = if self.patch_embed == PatchEmbed::ConvStem { 2 } else { 1 };
                let mut width = e;
                let mut sum = 0;
                for (i, &c) in self.stem_dims.iter().rev().enumerate() {
                    let stride = 16 >> i;
                    sum += at_stride(stride) * width * 4 * c + at_stride(stride / 2) * 9 * skip * c * c;
                    width = c;
                }
                sum + at_stride(2) * width * 4 * (channels + usize::from(self.defect_logit))
            }
        };
        2 * (embed + encoder + aggregation + decoder + head) as u64
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ModelConfig;

    #[test]
    fn diyt_takes_about_8_8_gmac() {
        // reference.md: about 8.8 GMAC for one unmasked 256 px image.
        let gmac = ModelConfig::diyt().flops([256, 256], 3) as f64 / 2e9;
        assert!((gmac - 8.8).abs() < 0.1, "{gmac}");
    }
}
