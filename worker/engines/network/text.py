"""The text side: tokens → durations and features. Always in float32 at least.

A duration is rounded to whole frames, and a rounding that flips shifts all that follows it: so no
precision setting reaches in here.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.engines.network.layers import BiLstm, Conv, Extent, Modules


class PlBert(nn.Module):
    """PL-BERT: an ALBERT whose one layer is applied n times (Li et al. 2023)."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        config = bert.config
        if config.num_hidden_groups != 1 or config.inner_group_num != 1:
            raise ValueError("PL-BERT has one group of one layer")
        if config.hidden_act != "gelu_new":
            raise ValueError(f"PL-BERT's activation is {config.hidden_act!r}")
        self.rounds: int = config.num_hidden_layers
        self.heads: int = config.num_attention_heads
        self.embeddings = bert.embeddings
        self.widen = bert.encoder.embedding_hidden_mapping_in
        layer = bert.encoder.albert_layer_groups[0].albert_layers[0]
        attention = layer.attention
        parts = (attention.query, attention.key, attention.value)
        self.qkv_weight = nn.Buffer(torch.cat([part.weight.detach() for part in parts]))
        self.qkv_bias = nn.Buffer(torch.cat([part.bias.detach() for part in parts]))
        self.dense, self.dense_norm = attention.dense, attention.LayerNorm
        self.inner, self.outer = layer.ffn, layer.ffn_output
        self.norm = layer.full_layer_layer_norm

    def forward(self, tokens: Tensor, extent: Extent) -> Tensor:
        """Return features (batch, time, hidden) for tokens (batch, time)."""
        table = self.embeddings
        x = (
            table.word_embeddings(tokens)
            + table.position_embeddings.weight[: tokens.shape[1]]
            + table.token_type_embeddings.weight[0]
        )
        x = self.widen(table.LayerNorm(x))
        allowed = None if extent.mask is None else extent.mask.view(len(tokens), 1, 1, -1)
        for _ in range(self.rounds):
            x = self._layer(x, allowed)
        return cast("Tensor", x)

    def _layer(self, x: Tensor, allowed: Tensor | None) -> Tensor:
        batch, steps, width = x.shape
        qkv = functional.linear(x, self.qkv_weight, self.qkv_bias)
        query, key, value = qkv.view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        seen = seen.transpose(1, 2).reshape(batch, steps, width)
        x = self.dense_norm(x + self.dense(seen))
        inner = functional.gelu(self.inner(x), approximate="tanh")
        return cast("Tensor", self.norm(self.outer(inner) + x))


class TextEncoder(nn.Module):
    """Convolutions and an LSTM over the tokens: what is said."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.embedding = encoder.embedding
        self.convs = Modules(Conv(block[0]) for block in encoder.cnn)
        self.norms: Any = nn.ModuleList(block[1] for block in encoder.cnn)
        self.slope: float = encoder.cnn[0][2].negative_slope
        self.lstm = BiLstm(encoder.lstm)

    def forward(self, tokens: Tensor, extent: Extent) -> Tensor:
        """Return features (batch, time, channels), zero in the padding."""
        x = extent.clear(self.embedding(tokens))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.layer_norm(conv(x), (norm.channels,), norm.gamma, norm.beta, norm.eps)
            x = extent.clear(functional.leaky_relu(x, self.slope))
        return extent.clear(self.lstm(x, extent))


class DurationEncoder(nn.Module):
    """LSTMs over PL-BERT's features, the style beside them at every step."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.lstms = Modules(BiLstm(lstm) for lstm in encoder.lstms[::2])
        self.styles = nn.ModuleList(norm.fc for norm in encoder.lstms[1::2])
        self.eps: float = encoder.lstms[1].eps

    def forward(self, x: Tensor, style: Tensor, extent: Extent) -> Tensor:
        """Return (batch, time, channels + style), zero in the padding."""
        beside = style.unsqueeze(1).expand(-1, extent.width, -1)
        x = extent.clear(torch.cat([x, beside], dim=-1))
        for lstm, projection in zip(self.lstms, self.styles, strict=True):
            y = lstm(x, extent)
            gain, shift = projection(style).unsqueeze(1).chunk(2, dim=-1)
            y = functional.layer_norm(y, y.shape[-1:], eps=self.eps)
            x = extent.clear(torch.cat([torch.addcmul(shift, 1 + gain, y), beside], dim=-1))
        return x


class TextSide(nn.Module):
    """From tokens to how long each is spoken and how it sounds."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.bert = PlBert(model.bert)
        self.narrow = model.bert_encoder
        self.prosody = DurationEncoder(model.predictor.text_encoder)
        self.lstm = BiLstm(model.predictor.lstm)
        self.durations = model.predictor.duration_proj.linear_layer
        self.encoder = TextEncoder(model.text_encoder)

    def forward(
        self, tokens: Tensor, style: Tensor, speed: Tensor, extent: Extent
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return durations, prosody and text features.

        Args:
            tokens: int64, (batch, time), marks included; anything in the padding.
            style: (batch, 128), the prosody half of a voice row.
            speed: (batch,).
            extent: of the tokens.

        Returns:
            int64 (batch, time) frames of 600 samples, 0 in the padding; (batch, time, 640);
            (batch, time, 512).
        """
        prosody = self.prosody(self.narrow(self.bert(tokens, extent)), style, extent)
        share = self.durations(self.lstm(prosody, extent)).sigmoid().sum(-1)
        frames = torch.round(share / speed.unsqueeze(1)).clamp(min=1).unsqueeze(-1)
        return (
            extent.clear(frames).squeeze(-1).long(),
            prosody,
            self.encoder(tokens, extent),
        )


def spread(features: Tensor, durations: Tensor, width: int) -> Tensor:
    """Repeat each token's features for its frames: (batch, time, c) → (batch, width, c).

    The same as upstream's product with a one-hot alignment. Beyond an item's own frames the
    last token's features stand, which every reader masks.
    """
    ends = durations.cumsum(1)
    frames = torch.arange(width, device=ends.device).expand(len(ends), -1).contiguous()
    token = torch.searchsorted(ends, frames, right=True).clamp(max=ends.shape[1] - 1)
    return features.gather(1, token.unsqueeze(-1).expand(-1, -1, features.shape[-1]))
