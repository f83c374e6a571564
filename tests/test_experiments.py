"""The experiments, at the scale of a test."""

from experiments import architecture


def test_table_1_and_the_figures_come_from_the_values(tmp_path, capsys):
    for name, printed in architecture.TABLE_1.items():
        assert architecture.reduction_a_filters(name) == printed
    architecture.main(tmp_path)
    assert len(list(tmp_path.glob('fig_*.svg'))) == len(architecture.FIGURES) == 17
    assert '17x17x1152' in (tmp_path / 'table.md').read_text()
    assert '(1152 Linear)' in next(tmp_path.glob('fig_17*')).read_text()
