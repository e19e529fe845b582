import pytest

from loadloom.client.files.units import UnknownUnit, conversion, price_side


@pytest.mark.parametrize(
    ("column", "field", "value", "converted"),
    [
        ("load_w", "power_kw", 1500, 1.5),
        ("load_kw", "power_kw", 1.5, 1.5),
        ("Load_MW", "power_kw", 0.25, 250),
        ("kw", "power_kw", 3, 3),
        ("stored_wh", "energy_max_kwh", 500, 0.5),
        ("stored_mwh", "energy_min_kwh", 2, 2000),
        ("price_eur_per_mwh", "buy_price_per_kwh", 22.39, 0.02239),
        ("buy_price_per_kwh", "buy_price_per_kwh", 0.3, 0.3),
        ("sell_price_per_wh", "sell_price_per_kwh", 0.001, 1),
    ],
)
def test_a_known_unit_is_converted(column, field, value, converted):
    scale = conversion(column, field)
    assert value * scale.above / scale.below == converted


def test_a_currency_in_the_name_of_a_price_is_read():
    assert conversion("price_eur_per_mwh", "buy_price_per_kwh").currency_code == "EUR"
    assert conversion("buy_price_per_mwh", "buy_price_per_kwh").currency_code == ""


@pytest.mark.parametrize(
    ("column", "field", "known"),
    [
        ("load", "power_kw", "_w, _kw, _mw, _gw"),
        ("load_kwh", "power_kw", "_kw"),
        ("load_hp", "power_kw", "_kw"),
        ("stored_kw", "energy_max_kwh", "_wh, _kwh, _mwh, _gwh"),
        ("price", "buy_price_per_kwh", "_per_kwh, _per_mwh"),
        ("price_ct_per_kwh", "buy_price_per_kwh", "_per_kwh"),
        ("price_eur_per_kw", "buy_price_per_kwh", "_per_kwh"),
    ],
)
def test_an_unknown_unit_is_refused_and_the_known_ones_are_told(column, field, known):
    with pytest.raises(UnknownUnit, match=known):
        conversion(column, field)


def test_the_side_of_a_price_stands_before_the_word():
    assert price_side("buy_price_per_kwh") == "buy"
    assert price_side("price_eur_per_mwh") == ""
    assert price_side("day_ahead_price_eur_per_mwh") == "day_ahead"
    assert price_side("load_kw") is None
