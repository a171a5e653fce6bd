"""The country of a capital (a task of Hanna, Pezzelle & Belinkov 2024, arXiv 2403.17806)."""

from __future__ import annotations

import random

from sp_widget.tasks.standard.examples import Example
from sp_widget.tasks.standard.vocabulary import Vocabulary

DESCRIPTION = """\
A sentence names a capital and goes on with its country: "The city of Paris is the capital of" is \
followed by " France". In the corrupt prompts another capital stands in the same place, and its \
country is the wrong answer."""

_TEMPLATES = (
    "The city of {capital} is the capital of",
    "Everyone knows that {capital} is the capital of",
    "We spent a week in {capital}, the capital of",
    "She was born in {capital}, the capital of",
    "The train arrived in {capital}, the capital of",
    "News came from {capital}, the capital city of",
)

_CAPITALS = """
Paris France, London England, Berlin Germany, Rome Italy, Madrid Spain, Lisbon Portugal,
Vienna Austria, Athens Greece, Dublin Ireland, Oslo Norway, Stockholm Sweden, Helsinki Finland,
Copenhagen Denmark, Warsaw Poland, Budapest Hungary, Bucharest Romania, Sofia Bulgaria,
Moscow Russia, Kiev Ukraine, Minsk Belarus, Riga Latvia, Vilnius Lithuania, Tallinn Estonia,
Belgrade Serbia, Zagreb Croatia, Tirana Albania, Brussels Belgium, Ankara Turkey, Tehran Iran,
Baghdad Iraq, Damascus Syria, Beirut Lebanon, Amman Jordan, Cairo Egypt, Tripoli Libya,
Tunis Tunisia, Algiers Algeria, Rabat Morocco, Khartoum Sudan, Nairobi Kenya, Kampala Uganda,
Kigali Rwanda, Mogadishu Somalia, Harare Zimbabwe, Lusaka Zambia, Luanda Angola, Accra Ghana,
Abuja Nigeria, Dakar Senegal, Bamako Mali, Beijing China, Tokyo Japan, Bangkok Thailand,
Hanoi Vietnam, Manila Philippines, Jakarta Indonesia, Kathmandu Nepal, Islamabad Pakistan,
Kabul Afghanistan, Dhaka Bangladesh, Doha Qatar, Canberra Australia, Ottawa Canada, Havana Cuba,
Caracas Venezuela, Lima Peru, Santiago Chile, Quito Ecuador, Kingston Jamaica, Monrovia Liberia,
Nicosia Cyprus, Reykjavik Iceland, Yerevan Armenia, Baku Azerbaijan, Tbilisi Georgia, Muscat Oman,
Taipei Taiwan, Manama Bahrain, Montevideo Uruguay, Managua Nicaragua
"""


class Countries:
    """Draws sentences about capitals; a subject is a capital and its country."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokens = vocabulary.pairs("capitals", _CAPITALS, at_least=2)
        self.subjects = list(self._tokens)

    def example(self, subject: tuple[str, str], draw: random.Random) -> Example:
        """Return a sentence about this capital."""
        other = draw.choice([pair for pair in self.subjects if pair != subject])
        return Example(
            draw.choice(_TEMPLATES),
            clean={"capital": subject[0]},
            corrupt={"capital": other[0]},
            answers=(self._tokens[subject][1],),
            wrong_answers=(self._tokens[other][1],),
        )
