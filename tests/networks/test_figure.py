"""The drawing of a network: what it says, and its geometry."""

import dataclasses
import functools
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from inception_jax.networks import (
    NETWORKS,
    Auxiliary,
    chain,
    concat,
    conv,
    expand,
    load,
    max_pool,
    network,
    one,
    residual,
    stage,
)
from inception_jax.networks.figures.figure import draw, sheet
from inception_jax.networks.figures.layout import (
    FAN,
    Polyline,
    Rectangle,
    Text,
    text_width,
)
from inception_jax.networks.ops import Conv, Module, Norm, Residual, Scale
from inception_jax.networks.shapes import measure


class Gate:
    def __init__(self, ratio=1):
        self.ratio = ratio


GATE = Module(functools.partial(Gate, ratio=16), lambda shape: 7, lambda shape: 9)
# Everything that the networks of the paper do not have.
ODD = network(
    'odd <&> "net"',
    one('stem', chain(conv(32, 3, 2), max_pool())),
    stage(
        'a',
        2,
        chain(residual(conv(16), chain(conv(16), GATE), scale=0.3), conv(64)),
        residual(chain(), concat(conv(3), conv(4)), scale=1.0, relu=False),
        Residual(Residual(chain(conv(8), expand(), Scale(0.1, True)), 0.5), 0.1),
    ),
    one('forks', concat(chain(), chain(concat(conv(1), conv(2)), conv(9)), conv(40))),
    one('mix_x', chain(GATE, max_pool(3, 1, 'SAME'))),
    one('nothing', chain()),
    one('norm', chain(Norm(relu=False))),
    one('last', chain(residual(conv(8), scale=0.1, relu=False), Norm(relu=True))),
    auxiliary=Auxiliary('a', concat(conv(7), conv(8))),
    input_size=65,
)
DRAWN = [*NETWORKS.values(), ODD]
every_network = pytest.mark.parametrize('value', DRAWN, ids=lambda value: value.name)


def texts(svg):
    root = ElementTree.fromstring(svg)
    return [element.text for element in root.iter() if element.tag.endswith('text')]


def boxes(page):
    """Lists the boxes of ops, without the frames of panels."""
    rectangles = [shape for shape in page.shapes if isinstance(shape, Rectangle)]
    return [box for box in rectangles if box.kind != 'frame']


def area(shape):
    """Returns left, top, right, bottom."""
    if isinstance(shape, Rectangle):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    if isinstance(shape, Polyline):
        xs, ys = zip(*shape.points, strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    width = text_width(shape.content)
    left = shape.x - {'start': 0, 'middle': width / 2, 'end': width}[shape.anchor]
    return left, shape.y - 11, left + width, shape.y + 3


def overlap(first, second):
    a, b = area(first), area(second)
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def pieces(page):
    for line in page.shapes:
        if isinstance(line, Polyline):
            yield from (Polyline(points) for points in pairwise(line.points))


@every_network
def test_boxes_and_texts_do_not_overlap(value):
    page = sheet(value)
    shapes = boxes(page) + [shape for shape in page.shapes if isinstance(shape, Text)]
    assert len(shapes) > 50
    assert not [pair for pair in combinations(shapes, 2) if overlap(*pair)]


@every_network
def test_lines_cross_neither_boxes_nor_texts(value):
    page = sheet(value)
    shapes = boxes(page) + [shape for shape in page.shapes if isinstance(shape, Text)]
    crossed = [(p, s) for p in pieces(page) for s in shapes if overlap(p, s)]
    assert not crossed


@every_network
def test_lines_are_upright_or_level_and_cross_only_where_branches_part(value):
    every = [piece.points for piece in pieces(sheet(value))]
    upright = [(start, end) for start, end in every if start[0] == end[0]]
    level = [(start, end) for start, end in every if start[1] == end[1]]
    assert len(upright) + len(level) == len(every)
    for (x, bottom), (_, top) in upright:
        for (left, y), (right, _) in level:
            if min(left, right) < x < max(left, right) and top < y < bottom:
                assert bottom - y == pytest.approx(FAN / 2)


@every_network
def test_arrows_end_at_boxes(value):
    page = sheet(value)
    for line in page.shapes:
        if isinstance(line, Polyline) and line.arrow:
            x, y = line.points[-1]
            assert any(touches(box, x, y) for box in boxes(page))


@every_network
def test_arrows_reach_every_box_but_the_first_of_a_panel(value):
    page = sheet(value)
    ends = [s.points[-1] for s in page.shapes if isinstance(s, Polyline) and s.arrow]
    first = [b for b in boxes(page) if not any(touches(b, *end) for end in ends)]
    panels = [shape for shape in page.shapes if getattr(shape, 'kind', '') == 'frame']
    assert len(first) == len(panels) > 6
    assert {box.kind for box in first} <= {'input', 'dot', 'relu'}


def touches(box, x, y):
    left, top, right, bottom = area(box)
    return left - 0.01 <= x <= right + 0.01 and top - 0.01 <= y <= bottom + 0.01


@every_network
def test_everything_lies_within_the_sheet_and_texts_within_their_boxes(value):
    page = sheet(value)
    for shape in page.shapes:
        left, top, right, bottom = area(shape)
        assert 20 <= left <= right <= page.width - 20
        assert 20 <= top <= bottom <= page.height - 20
        if isinstance(shape, Rectangle) and shape.kind != 'sum':
            assert all(text_width(text) + 8 < shape.width for text in shape.lines)


@every_network
def test_drawing_is_well_formed_and_says_its_size(value):
    root = ElementTree.fromstring(draw(value))
    page = sheet(value)
    assert root.get('viewBox') == f'0 0 {root.get("width")} {root.get("height")}'
    assert float(root.get('width')) == pytest.approx(page.width, abs=0.1)
    assert value.name in [element.text for element in root.iter()]
    assert draw(value)._repr_svg_() == value._repr_svg_()


@every_network
def test_every_convolution_of_every_block_is_drawn_with_its_filters(value):
    for block in measure(value):
        convolutions = [leaf for leaf in block.leaves if isinstance(leaf.op, Conv)]
        drawn = [b for b in boxes(sheet(value, block.name)) if 'Conv' in str(b.lines)]
        filters = [box.lines[1].strip('()').split()[0] for box in drawn]
        assert sorted(filters) == sorted(str(leaf.output[2]) for leaf in convolutions)


def test_expansions_have_the_width_of_the_trunk_and_no_misprint():
    labels = texts(draw(load('inception_resnet_v2')))
    assert {'(384 Linear)', '(1152 Linear)', '(2144 Linear)'} < set(labels)
    assert not [text for text in labels if '1154' in text or '2048' in text]


def test_overview_is_the_column_of_figure_9():
    labels = texts(draw(load('inception_v4')))
    assert labels[:20] == [
        *('Input', '(299x299x3)'),
        *('Stem', 'Output: 35x35x384'),
        *('4 x Inception-A', 'Output: 35x35x384'),
        *('Reduction-A', 'Output: 17x17x1024'),
        *('7 x Inception-B', 'Output: 17x17x1024'),
        *('Reduction-B', 'Output: 8x8x1536'),
        *('3 x Inception-C', 'Output: 8x8x1536'),
        *('Average pooling', 'Output: 1536'),
        *('Dropout', '(keep 0.8)', 'Output: 1536'),
        'Softmax',
    ]


def test_panels_are_the_distinct_blocks():
    captions = [
        text for text in texts(draw(load('inception_v3'))) if '35x35x288' in text
    ]
    assert 'a_2..a_3: to 35x35x288, x 2' in captions
    labels = texts(draw(load('inception_resnet_v1')))
    assert 'a: 35x35x256 -> 35x35x256, x 5' in labels
    assert len([text for text in labels if text.startswith('b: ')]) == 1


def test_auxiliary_head_branches_off_beside_the_column():
    page = sheet(load('inception_v3'))
    softmax = [box for box in boxes(page) if box.lines == ('Softmax',)]
    (pool,) = [box for box in boxes(page) if box.lines[:1] == ('AvgPool 5x5',)]
    assert len(softmax) == 2
    assert {box.x == pool.x for box in softmax} == {True, False}
    without = dataclasses.replace(load('inception_v3'), auxiliary=None)
    assert 'AvgPool 5x5' not in texts(draw(without))


def test_block_alone_is_drawn_in_the_words_of_the_figure():
    labels = texts(draw(load('inception_v4'), 'reduction_a'))
    assert sorted(labels) == sorted(
        [
            *('MaxPool 3x3', '(stride 2 V)', '3x3 Conv', '(384 stride 2 V)'),
            *('1x1 Conv', '(192)', '3x3 Conv', '(224)', '3x3 Conv', '(256 stride 2 V)'),
            *('Filter concat', 'reduction_a: 35x35x384 -> 17x17x1024'),
        ]
    )


def test_nested_branches_join_in_one_concatenation():
    labels = texts(draw(load('inception_v4'), 'c'))
    assert labels.count('Filter concat') == 1
    assert labels.count('1x3 Conv') == labels.count('3x1 Conv') == 3


def test_residual_block_has_its_scale_its_sum_and_two_relus():
    labels = texts(draw(load('inception_resnet_v2'), 'a_3'))
    assert labels.count('Relu activation') == 2
    assert labels.count('+') == labels.count('x 0.17') == 1
    assert 'a_3: 35x35x384 -> 35x35x384' in labels


def test_no_relu_is_drawn_where_there_is_none():
    last = texts(draw(load('inception_resnet_v2_slim'), 'c_last'))
    assert last.count('Relu activation') == 1
    linear = residual(conv(2), scale=0.5, relu=False)
    value = network('n', one('stem', conv(4)), stage('a', 2, linear), one('b', linear))
    assert texts(draw(value, 'a')).count('Relu activation') == 1
    assert texts(draw(value, 'b')).count('Relu activation') == 0


def test_sum_lies_above_the_expansion_and_the_trunk_to_the_left():
    page = sheet(load('inception_resnet_v2'), 'b')
    kinds = {box.kind: box for box in boxes(page)}
    circle = kinds['sum']
    assert circle.y + circle.height < kinds['linear'].y
    (trunk,) = [
        s
        for s in page.shapes
        if isinstance(s, Polyline)
        and len(s.points) == 3
        and s.points[-1][0] == pytest.approx(circle.x)
    ]
    assert all(trunk.points[0][0] < box.x for box in boxes(page))


def test_own_module_is_a_box_with_its_name():
    assert 'Gate(ratio=16)' in texts(draw(ODD, 'mix_x'))
    assert texts(draw(ODD)).count('Gate(ratio=16)') == 2


def test_windows_are_drawn_as_clipped():
    value = dataclasses.replace(load('inception_v3'), input_size=96)
    assert 'AvgPool 4x4' in texts(draw(value, 'auxiliary'))


def test_unknown_block_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"no block or stage 'd'.*stem, a_1\.\.a_4, red"
    ):
        draw(load('inception_v4'), 'd')
