"""What each recipe is, in one line: `nextframe recipes` and docs/models.md show it."""

from __future__ import annotations

ABOUT = {
    "quickstart": "our own: a small model in three minutes",
    "motion-tuned": "our own: `motion` trained on from its weights, on your videos",
    "motion-mixture": "our own: `motion`, flow and the last frames, mixed by what your GIFs or drawings do",
    "moving-mnist-fast": "our own: the lowest error on Moving MNIST in a stated time, of a network that draws at once",
    "moving-mnist-sprites": "our own: digits cut out, found again and moved on, sharp after ten frames",
    "keras-convlstm": "the Keras example of 2021, its leak included",
    "keras-convlstm-2016": "its predecessor of 2016, on moving squares",
    "catz-baseline": "the catz benchmark's baseline, as published",
    "catz-baseline-fixed": "the same with its faults corrected",
    "catz-conv2d": "the cat-gif notebook's 2-D network, as published",
    "catz-conv2d-fixed": "the same with its faults corrected",
    "catz-conv3d": "the cat-gif notebook's 3-D network, as published",
    "catz-conv3d-fixed": "the same with its faults corrected",
    "catz-conv3d-noise": "the cat-gif notebook's 3-D network with noise, as published",
    "catz-conv3d-noise-fixed": "the same with its faults corrected",
    "catz-convlstm": "the cat-gif notebook's ConvLSTM, as published",
    "catz-convlstm-fixed": "the same with its faults corrected",
    "catz-autoencoder": "the cat-gif notebook's ConvLSTM autoencoder, as published",
    "catz-autoencoder-fixed": "the same with its faults corrected",
    "mathieu-chainer": "Mathieu et al. 2016 as the Chainer port trains it",
    "mathieu-tf": "Mathieu et al. 2016 as the TensorFlow port trains it",
    "mathieu-torch": "Mathieu et al. 2016 as the authors' script trains it, on clips of UCF-101",
    "mathieu-paper": "Mathieu et al. 2016 as the paper means it",
    "multiscale-gan-small": "our own: the multi-scale adversarial model in minutes on a CPU",
    "dual-motion-gan-walks": "our own: frames and flows that teach each other, small, on videos",
    "mnist-latent": "our own: prediction in a latent space, small enough for a CPU",
    "mnist-latent-original": "tencia/video_predict 2016 on digits, with its numbers and faults",
    "film-latent": "tencia/video_predict's chain for videos, small enough for a CPU",
    "film-latent-small": "our own: the same with one small VAE",
    "film-latent-original": "tencia/video_predict 2016 on videos, with its numbers and faults",
    "srivastava-mnist": "Srivastava et al. 2015 on moving digits, original size",
    "srivastava-mnist-2layer": "the same with two layers",
    "srivastava-patches": "Srivastava et al. 2015 on patches of videos",
    "srivastava-percepts": "Srivastava et al. 2015 on features of frames",
    "srivastava-flow": "Srivastava et al. 2015 on optical flow",
    "ddpae-moving-mnist": "Hsieh et al. 2018 on moving digits, original size",
    "convlstm-s": "OpenSTL's ConvLSTM-S by the standard protocol of Moving MNIST, 200 epochs",
}
PROTOCOLS = {
    "mmnist": "the standard protocol of Moving MNIST, 200 epochs",
    "kth": "the standard protocol of KTH, 100 epochs",
    "caltech": "the standard protocol of Kitti-Caltech, 100 epochs",
}
SMALL = "our own: the model at no more than 1 GMAC, for the table of one thread's minutes"


def about(name: str) -> str:
    """Return what the recipe `name` is in one line; "" for one that is not ours."""
    if name.startswith("small-"):
        return SMALL
    return ABOUT.get(name, PROTOCOLS.get(name.rpartition("-")[2], ""))
