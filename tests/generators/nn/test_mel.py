"""The way to a picture and back keeps what is heard."""

import torch

from generators.nn import mel
from generators.nn.one_shot import comb, from_cells, to_cells

TIME = torch.arange(mel.FRAMES * mel.HOP) / mel.SAMPLE_RATE


def tone(hz: float) -> torch.Tensor:
    return 0.9 * torch.sin(2 * torch.pi * hz * TIME) * torch.exp(-2 * TIME)


def test_silence_is_minus_one_and_loud_tones_about_one() -> None:
    pictures = mel.picture(torch.stack([torch.zeros_like(TIME), tone(440)]))
    assert pictures.shape == (2, mel.MELS, mel.FRAMES)
    assert torch.allclose(pictures[0], torch.full_like(pictures[0], -1.0), atol=0.01)
    assert 0.7 < pictures[1].max() < 1.1


def test_a_tone_lies_in_its_band() -> None:
    for hz in (110.0, 440.0, 3000.0):
        loudest = mel.picture(tone(hz)[None])[0, :, 5].argmax()
        assert abs(float(loudest) - float(mel.band_of_hz(torch.tensor(hz)))) <= 1


def test_the_way_back_gives_the_same_picture() -> None:
    clip = (tone(220) + tone(660) + tone(1540)) / 3
    picture = mel.picture(clip[None].double())
    back = mel.waveform(picture, [torch.Generator().manual_seed(0)])
    assert back.shape == clip[None].shape
    heard = picture > -0.5
    assert (mel.picture(back) - picture)[heard].abs().mean() < 0.08


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    pictures = mel.picture(torch.stack([tone(220), tone(500), tone(900)]).double())[..., :32]
    rngs = [torch.Generator().manual_seed(seed) for seed in range(3)]
    together = mel.waveform(pictures, rngs)[1]
    alone = mel.waveform(pictures[1:2], [torch.Generator().manual_seed(1)])[0]
    assert (together - alone).abs().max() < 1e-9


def test_a_comb_has_its_first_tooth_at_the_note_and_none_for_drums() -> None:
    teeth = comb(torch.tensor([69.0, 0.0]))
    fundamental = round(float(mel.band_of_hz(torch.tensor(440.0))))
    assert abs(int(teeth[0].argmax()) - fundamental) <= 1
    assert teeth[0, : fundamental - 4].max() < 0.01
    assert teeth[1].abs().max() == 0


def test_cells_hold_every_value_of_a_picture() -> None:
    pictures = torch.randn(2, mel.MELS, mel.FRAMES)
    assert torch.equal(from_cells(to_cells(pictures)), pictures)
