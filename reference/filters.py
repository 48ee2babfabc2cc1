"""What a convolutional stem begins with: plain filters, so that training starts from what they see.

Every convolution, at half the resolution of the one before, has five filters (four derivatives and the Laplacian), each with
both signs, because GELU lets only positive values through; a mean and two differences of colours, likewise. The second and
third also pass on, blurred, how strongly the filters below responded (their energy: the sum of both signs is about the
magnitude).
"""

import torch
from torch import Tensor

# Factor of a filter's response in the first convolution, so that GELU is nearly a rectifier; of the means there; of the filters
# of the second and third, whose input has the means' factor already.
GAIN, MEAN_GAIN, AGAIN = 20.0, 5.0, 4.0
# Middle of the grey levels of a normalised image.
MIDDLE = 0.5
# Share of their own random weights that the channels beyond the filters begin with.
BEYOND = 0.3

BINOMIAL = torch.tensor([0.25, 0.5, 0.25])
BLUR = torch.outer(BINOMIAL, BINOMIAL)
ACROSS = torch.outer(BINOMIAL, torch.tensor([-0.5, 0.0, 0.5]))
FALLING = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]]) / 6
LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]) / 4
FILTERS = [ACROSS, ACROSS.T, FALLING, FALLING.flip(1), LAPLACIAN]
# Grey, and two differences of red, green and blue.
COLOURS = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]])

Kernel = tuple[Tensor, Tensor]  # [outputs, inputs, 3, 3] and [outputs]


def plain_filters() -> list[Kernel]:
    """Weights and biases of the filters of the first three convolutions, for images of three channels: 16 outputs, 21
    and 26."""
    signs = (1.0, -1.0)
    grey = COLOURS[0, :, None, None]
    first = [sign * GAIN * kernel * grey for kernel in FILTERS for sign in signs]
    first += [sign * MEAN_GAIN * BLUR * colour[:, None, None] for colour in COLOURS for sign in signs]
    bias = torch.zeros(len(first))
    bias[10], bias[11] = -MEAN_GAIN * MIDDLE, MEAN_GAIN * MIDDLE
    kernels = [(torch.stack(first), bias)]
    energies = 0  # how many the outputs below begin with
    for _ in range(2):
        inputs = len(kernels[-1][1])
        filters, means = energies, energies + 10

        def of(*places: tuple[int, Tensor]) -> Tensor:
            kernel = torch.zeros(inputs, 3, 3)
            for place, values in places:
                kernel[place] = values
            return kernel

        rows = [of((i, BLUR)) for i in range(energies)]
        rows += [of((filters + 2 * i, BLUR), (filters + 2 * i + 1, BLUR)) for i in range(len(FILTERS))]
        # What GELU lets through of a value and of its negative, subtracted, is the value.
        rows += [of((means, sign * AGAIN * k), (means + 1, -sign * AGAIN * k)) for k in FILTERS for sign in signs]
        rows += [of((means + 2 * i, sign * BLUR), (means + 2 * i + 1, -sign * BLUR)) for i in range(3) for sign in signs]
        kernels.append((torch.stack(rows), torch.zeros(len(rows))))
        energies += len(FILTERS)
    return kernels


@torch.no_grad()
def begin_with_filters(convolutions: list[torch.nn.Conv2d]) -> None:
    """Sets the first outputs of the first three convolutions; the others begin smaller. A convolution that is too narrow for
    them stays as it is, and so do those above it."""
    for convolution, (weight, bias) in zip(convolutions, plain_filters()):
        outputs, inputs = weight.shape[:2]
        if convolution.out_channels < outputs or convolution.in_channels < inputs:
            return
        convolution.weight *= BEYOND
        convolution.weight[:outputs] = 0
        convolution.weight[:outputs, :inputs] = weight
        convolution.bias[:outputs] = bias
