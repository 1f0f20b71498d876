"""A network in stages is the network: to the bit, with the gradients, and wherever it is cut."""

import copy

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from humalign.artefacts import write_dataset
from humalign.data.images import FolderImages
from humalign.models import embeddings
from humalign.models.backbones import Backbone
from humalign.models.recipes import cut_stages
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
    cut = cut_stages(net)
    pixels = pictures(net)
    with torch.no_grad():
        wanted = net.forward_head(net.forward_features(pixels), pre_logits=True)
        assert len(cut) > 3 and torch.equal(cut(pixels), wanted)
        hidden = pixels
        for stage in copy.deepcopy(cut):
            hidden = stage(hidden)
    assert torch.equal(hidden, wanted)


def test_stages_share_every_parameter_with_the_whole_and_have_each_once(net):
    of_stages = list(cut_stages(net).parameters())
    whole = {id(p): name for name, p in net.named_parameters()}
    left = {name for key, name in whole.items() if key not in {id(p) for p in of_stages}}
    head = net.pretrained_cfg["classifier"]
    assert left == {name for name in whole.values() if name.startswith(f"{head}.")}
    assert len(of_stages) == len(whole) - len(left) == len(cut_stages(net).state_dict()) - sum(1 for _ in net.buffers())


def test_a_whole_network_that_is_trained_has_a_gradient_everywhere(net):
    net.requires_grad_(False)
    student = Student.of(Backbone.of(net, pictures(net).shape[-1], HALF, HALF), frozen_stages=0)
    student(pictures(net).sigmoid()).square().sum().backward()
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
    write_dataset(tmp_path / "e.nc", found)
    assert embeddings.read(tmp_path / "e.nc")["activations"].dims == found["activations"].dims


CLIP = {"image_size": 32, "patch_size": 16, "width": 32, "heads": 2, "layers": 2, "mlp_ratio": 2.0, "output_dim": 24}


TOWERS = [{}, {"pool_type": "avg"}, {"final_ln_after_pool": True}, {"no_ln_pre": True}, {"attentional_pool": True}]


@pytest.mark.parametrize("change", TOWERS, ids=str)
def test_stages_of_an_open_clip_tower_are_the_tower_to_the_bit(change):
    tower = lively(pytest.importorskip("open_clip").transformer.VisionTransformer(**CLIP | change))
    cut = cut_stages(tower)
    pixels = torch.randn(2, 3, 32, 32)
    assert len(cut) == (1 if "attentional_pool" in change else 4) and torch.equal(cut(pixels), tower(pixels))


@pytest.mark.parametrize(("proj", "stages"), [("none", 14), ("linear", 15), ("", 15)])
def test_a_timm_tower_of_open_clip_is_cut_like_its_trunk(proj, stages):
    tower = pytest.importorskip("open_clip").timm_model.TimmModel("vit_tiny_patch16_224", 24, 224, pool="token", proj=proj)
    cut = cut_stages(lively(tower))
    pixels = torch.randn(1, 3, 224, 224)
    assert len(cut) == stages and torch.equal(cut(pixels), tower(pixels))


def test_what_is_not_known_stays_whole():
    other = timm.create_model("resnet18", num_classes=0)
    assert list(cut_stages(other)) == [other]
    own = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    assert cut_stages(own) is own


# ---- networks that need care -----------------------------------------------------------------------------------------

CACHING = ["levit_128s", "tiny_vit_5m_224", "efficientformer_l1", "efficientformerv2_s0", "efficientvit_m0"]


@pytest.mark.parametrize("name", CACHING)
def test_a_network_that_keeps_its_attention_biases_is_trained_with_new_ones(name):
    """Also where it was embedded before in inference mode, and where activations are recomputed."""
    net = lively(timm.create_model(name, num_classes=0))
    backbone = Backbone.of(net, 224, HALF, HALF)
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        backbone(pixels)
    student = Student.of(backbone, 0)
    for recompute in (False, True):
        student.recompute(recompute)
        student.zero_grad()
        student.features_of(pixels).square().sum().backward()
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.sub_(0.01 * torch.sign(parameter))
    copy.deepcopy(student)
    fresh = timm.create_model(name, num_classes=0).eval()
    fresh.load_state_dict(student.tail[0].state_dict())
    with torch.no_grad():
        torch.testing.assert_close(student.features_of(pixels), fresh(2 * pixels - 1), rtol=1e-4, atol=1e-4)
    biases = [p for name, p in student.named_parameters() if name.endswith("attention_biases")]
    assert biases and all(p.grad.abs().sum() > 0 for p in biases)


def layouts(student, pixels):
    """Return which strided convolutions of single pixels see their input or weights in the layout channels last."""
    seen = []

    def look(module, inputs):
        for tensor in (inputs[0], module.weight):
            seen.append(tensor.stride(3) != 1)

    points = [m for m in student.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride != (1, 1)]
    for module in points:
        module.register_forward_pre_hook(look)
    with torch.no_grad():
        student.features_of(pixels)
    assert len(seen) == 2 * len(points)
    return seen


@pytest.mark.parametrize("name", ["repvgg_a0", "fastvit_t8", "resnet18"])
def test_strided_convolutions_of_single_pixels_are_trained_in_the_plain_layout(name):
    """Channels last, their gradient ends the process on some processors (PyTorch 2.14)."""
    backbone = Backbone.of(timm.create_model(name, num_classes=0), 64, HALF, HALF)
    backbone.to(memory_format=torch.channels_last)  # as embedding leaves it
    student, pixels = Student.of(backbone, 0), torch.rand(2, 3, 64, 64)
    seen = layouts(student, pixels)
    assert seen and not any(seen)
    assert all(each.is_contiguous() for each in student.parameters())
    with torch.no_grad():
        torch.testing.assert_close(student.features_of(pixels), backbone(pixels), rtol=1e-3, atol=1e-4)
    other = Student.of(Backbone.of(timm.create_model("tf_efficientnet_lite0", num_classes=0), 64, HALF, HALF), 0)
    assert other.tail[2].conv_dw.weight.is_contiguous(memory_format=torch.channels_last), "where none is, the fast layout stays"
