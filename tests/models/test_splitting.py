"""A network in stages is the network: to the bit, with the gradients, and wherever it is cut."""

import copy

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from humalign.data.images import FolderImages
from humalign.models import embeddings, splitting
from humalign.models.backbones import Backbone
from humalign.models.student import Student

HALF = (0.5, 0.5, 0.5)
SMALL = {"img_size": 32, "depth": 3}
# One of each way in which a ViT of timm makes its tokens and pools them.
TIMM = {
    "class token": ("vit_tiny_patch16_224", SMALL),
    "attention pooling": ("vit_tiny_patch16_224", SMALL | {"class_token": False, "global_pool": "map", "act_layer": "gelu_tanh"}),
    "register tokens": ("vit_tiny_patch16_224", SMALL | {"reg_tokens": 4, "no_embed_class": True, "init_values": 1e-5}),
    "CLIP": ("vit_tiny_patch16_224", SMALL | {"pre_norm": True, "act_layer": "quick_gelu"}),
    "mean": ("vit_tiny_patch16_224", SMALL | {"global_pool": "avg", "dynamic_img_size": True}),
    "DINOv2": ("vit_base_patch14_reg4_dinov2", {"img_size": 28, "depth": 2, "embed_dim": 48, "num_heads": 2, "num_classes": 5}),
    "EfficientNet": ("tf_efficientnet_lite0", {}),
}


def lively(net):
    """Give every parameter a value that is not its first one: zeros would hide a part that is left out."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return net.eval()


@pytest.fixture(params=TIMM)
def net(request):
    name, options = TIMM[request.param]
    return lively(timm.create_model(name, **options))


def pictures(net, n=2):
    size = net.patch_embed.img_size[0] if hasattr(net, "patch_embed") else 64
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_stages_of_a_timm_model_are_the_model_to_the_bit(net):
    cut = splitting.stages(net)
    pixels = pictures(net)
    with torch.no_grad():
        wanted = net.forward_head(net.forward_features(pixels), pre_logits=True)
        assert len(cut) > 3 and torch.equal(cut(pixels), wanted)
        hidden = pixels
        for stage in copy.deepcopy(cut):
            hidden = stage(hidden)
    assert torch.equal(hidden, wanted)


def test_stages_share_every_parameter_with_the_whole_and_have_each_once(net):
    of_stages = list(splitting.stages(net).parameters())
    whole = {id(p): name for name, p in net.named_parameters()}
    left = {name for key, name in whole.items() if key not in {id(p) for p in of_stages}}
    head = net.pretrained_cfg["classifier"]
    assert left == {name for name in whole.values() if name.startswith(f"{head}.")}
    assert len(of_stages) == len(whole) - len(left) == len(splitting.stages(net).state_dict()) - sum(1 for _ in net.buffers())


def test_a_whole_network_that_is_trained_has_a_gradient_everywhere(net):
    net.requires_grad_(False)
    student = Student.of(Backbone.of(net, pictures(net).shape[-1], HALF, HALF), frozen_stages=0)
    student(pictures(net)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for name, p in student.named_parameters() if "attn.qkv.bias" not in name)


@pytest.mark.parametrize("frozen", [0, 1, 3, 4])
def test_a_student_of_a_vit_takes_cached_tokens(frozen, tmp_path):
    backbone = Backbone.of(lively(timm.create_model("vit_tiny_patch16_224", **SMALL)), 32, HALF, HALF)
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    found = embeddings.embed([FolderImages(tmp_path)], backbone, frozen)
    student = Student.of(backbone, frozen)
    if frozen:
        assert found["activations"].dims == ("image", "token", "channel")
    features = student.features(torch.from_numpy(found["activations"].values)).numpy()
    assert np.abs(features - found["features"].values).max() < 0.01 * np.abs(found["features"].values).max()
    embeddings.write(tmp_path / "e.nc", found, {})
    assert embeddings.read(tmp_path / "e.nc")["activations"].dims == found["activations"].dims


CLIP = {"image_size": 32, "patch_size": 16, "width": 32, "heads": 2, "layers": 2, "mlp_ratio": 2.0, "output_dim": 24}


TOWERS = [{}, {"pool_type": "avg"}, {"final_ln_after_pool": True}, {"no_ln_pre": True}, {"attentional_pool": True}]


@pytest.mark.parametrize("change", TOWERS, ids=str)
def test_stages_of_an_open_clip_tower_are_the_tower_to_the_bit(change):
    tower = lively(pytest.importorskip("open_clip").transformer.VisionTransformer(**CLIP | change))
    cut = splitting.stages(tower)
    pixels = torch.randn(2, 3, 32, 32)
    assert len(cut) == (1 if "attentional_pool" in change else 4) and torch.equal(cut(pixels), tower(pixels))


@pytest.mark.parametrize(("proj", "stages"), [("none", 14), ("linear", 15), ("", 15)])
def test_a_timm_tower_of_open_clip_is_cut_like_its_trunk(proj, stages):
    tower = pytest.importorskip("open_clip").timm_model.TimmModel("vit_tiny_patch16_224", 24, 224, pool="token", proj=proj)
    cut = splitting.stages(lively(tower))
    pixels = torch.randn(1, 3, 224, 224)
    assert len(cut) == stages and torch.equal(cut(pixels), tower(pixels))


def test_what_is_not_known_stays_whole():
    other = timm.create_model("resnet18", num_classes=0)
    assert list(splitting.stages(other)) == [other]
    own = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    assert splitting.stages(own) is own
