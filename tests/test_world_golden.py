"""Golden dialogues: the shipped worlds are frozen, and so is the order in which random numbers are drawn."""

from __future__ import annotations

import pytest

from metadialog_lite.turns import Turn
from metadialog_lite.world import World, load_world


def shown(world: World, turn: Turn) -> str:
    return " | ".join((" ".join(turn.previous_state), world.text(turn.user), " ".join(turn.state), " ".join(turn.act),
                       world.text(turn.response)))


GOLDEN = {
    "restaurants.en": ((
        {"zesty": "mexican", "mellow": "italian", "smoky": "indian", "crispy": "french", "hearty": "thai"},
        ("meal", "area", "price", "food"),
        {"name": "ben", "home": "kyoto", "hobby": "gardening"},
    ), [
        [
            "- - - - | i would like at birthday prices and a table at midnight | "
            "- - luxury dinner | request area | and which part of town do you prefer?",
            "- - luxury dinner | let us say near the harbour | "
            "- west luxury dinner | request food | what kind of food would you like?",
            "- west luxury dinner | zesty dishes | mexican west luxury dinner | "
            "confirm | you want dinner in the west, mexican and luxury, right?",
            "mexican west luxury dinner | sounds good | "
            "mexican west luxury dinner | offer | ben found luxury prices in the west for you.",
        ],
        [
            "- - - - | i would like something hearty | thai - - - | "
            "request meal | what meal of the day would you like?",
            "thai - - - | well, a table at sunrise and near the castle | "
            "thai north - breakfast | request price | and which price range do you prefer?",
            "thai north - breakfast | on a family budget | "
            "thai north cheap breakfast | confirm | let me repeat: thai, north, cheap and breakfast.",
            "thai north cheap breakfast | exactly | thai north cheap breakfast | "
            "offer | ben found cheap prices in the north for you.",
            "thai north cheap breakfast | great, that is all | "
            "thai north cheap breakfast | bye | bye, i am off to my gardening now.",
        ],
        [
            "- - - - | please find us something mellow | "
            "italian - - - | request meal | and which meal of the day do you prefer?",
            "italian - - - | preferably around teatime | "
            "italian - - brunch | request area | could you tell me the part of town?",
            "italian - - brunch | let us say not far from the castle | "
            "italian north - brunch | request price | and which price range do you prefer?",
        ],
        [
            "french east - supper | let us say at royal prices | "
            "french east fair supper | confirm | let me repeat: french, east, fair and supper.",
            "- - fair brunch | let us say near the campus | "
            "- centre fair brunch | request food | could you tell me the kind of food?",
        ],
    ]),
    "restaurants.zh": ((
        {"重口": "东北菜", "清淡": "湘菜", "家常": "粤菜", "讲究": "素菜", "解馋": "川菜"},
        ("meal", "food", "area", "price"),
        {"name": "晨晨", "home": "大连", "hobby": "唱歌"},
    ), [
        [
            "- - - - | 我们在找餐馆，口味要讲究的，定在深夜 | 素菜 - - 早餐 | request area | 请问您想要什么城区？",
            "素菜 - - 早餐 | 那就离校园不远 | 素菜 北城 - 早餐 | request price | 请问您想要什么价位？",
            "素菜 北城 - 早餐 | 最好预算按老板的标准 | 素菜 北城 便宜 早餐 | confirm | 北城的素菜，便宜，早餐，对吗？",
            "素菜 北城 便宜 早餐 | 没错 | 素菜 北城 便宜 早餐 | offer | 早餐的素菜已经订好了。",
        ],
        [
            "- - - - | 您好，想订位，预算按生日的标准 | - - 实惠 - | request meal | 那么用餐时段有要求吗？",
            "- - 实惠 - | 那就定在正午 | - - 实惠 早午餐 | request food | 请问您想要什么菜系？",
            "- - 实惠 早午餐 | 嗯，口味要重口的 | 东北菜 - 实惠 早午餐 | request area | 晨晨还想知道城区。",
            "东北菜 - 实惠 早午餐 | 那就离车站不远 | "
            "东北菜 市中心 实惠 早午餐 | confirm | 市中心的东北菜，实惠，早午餐，对吗？",
            "东北菜 市中心 实惠 早午餐 | 对，就这样 | 东北菜 市中心 实惠 早午餐 | offer | 早午餐的东北菜已经订好了。",
        ],
        [
            "- - - - | 我要订一桌，想吃点解馋的，离校园不远，定在深夜 | "
            "川菜 北城 - 早餐 | request price | 请问您想要什么价位？",
            "川菜 北城 - 早餐 | 那就预算按老板的标准 | 川菜 北城 便宜 早餐 | confirm | 北城的川菜，便宜，早餐，对吗？",
            "川菜 北城 便宜 早餐 | 可以 | 川菜 北城 便宜 早餐 | offer | 早餐的川菜已经订好了。",
        ],
        [
            "湘菜 东城 便宜 夜宵 | 是的 | 湘菜 东城 便宜 夜宵 | offer | 夜宵的湘菜已经订好了。",
            "- - - - | 您好，想订位，家庭那种价钱 | - - 偏贵 - | request meal | 那么用餐时段有要求吗？",
        ],
    ]),
    "travel.en": ((
        {"salty": "island", "quiet": "city", "lively": "beach", "windy": "lake", "golden": "mountains"},
        ("season", "transport", "lodging", "destination"),
        {"name": "hugo", "home": "bergen", "hobby": "salsa"},
    ), [
        [
            "- - - - | hello, travel desk? | - - - - | greet | welcome to the travel desk, hugo here.",
            "- - - - | we are planning a trip: a fancy bed and travelling like a dolphin | - car hotel - | "
            "request season | what time of year do you have in mind?",
            "- car hotel - | maybe at snowfall time | - car hotel spring | request destination | "
            "please tell me the kind of place.",
            "- car hotel spring | i would say a golden place | mountains car hotel spring | confirm | "
            "spring, mountains, car, hotel: shall i book?",
            "mountains car hotel spring | perfect | mountains car hotel spring | offer | "
            "hugo has booked the hotel for you.",
        ],
        [
            "- - - - | hi, our next trip: as fast as a swallow and somewhere windy | lake train - - | "
            "request season | please tell me the time of year.",
            "lake train - - | maybe at harvest time | lake train - summer | request lodging | "
            "what place to sleep do you have in mind?",
            "lake train - summer | simple rooms | lake train villa summer | confirm | "
            "summer, lake, train, villa: shall i book?",
            "lake train villa summer | correct | lake train villa summer | offer | "
            "i found a villa that belongs to my cousin from bergen.",
        ],
        [
            "- - - - | we are planning a trip: during the carnival and travelling like a cheetah | "
            "- ferry - january | request lodging | any wishes for the place to sleep?",
            "- ferry - january | maybe airy rooms | - ferry campsite january | request destination | "
            "please tell me the kind of place.",
            "- ferry campsite january | i would say somewhere windy | lake ferry campsite january | confirm | "
            "to sum up: ferry to the lake, campsite, january.",
        ],
        [
            "- plane hostel autumn | "
            "sorry, not travelling like a camel but travelling like a swallow. hmm, a salty place | "
            "island train hostel autumn | confirm | to sum up: train to the island, hostel, autumn.",
            "- - - january | maybe travelling like a swallow and somewhere lively | beach train - january | "
            "request lodging | hugo still needs your place to sleep.",
        ],
    ]),
    "clinic.en": ((
        {"scratchy": "fever", "pounding": "headache", "burning": "rash", "prickly": "cough", "stubborn": "backache"},
        ("complaint", "day", "staff", "time"),
        {"name": "samir", "home": "bath", "hobby": "swimming"},
    ), [
        [
            "- - - - | please help me, when it is time for porridge and a stubborn feeling | backache - - midday | "
            "request day | what is the day of the week, please?",
            "backache - - midday | on laundry day and somebody strict | backache therapist monday midday | confirm | "
            "monday, midday, therapist, backache: all correct?",
            "backache therapist monday midday | right | backache therapist monday midday | offer | "
            "the therapist expects you on monday.",
        ],
        [
            "- - - - | good afternoon | - - - - | greet | good day, this is the practice, samir speaking.",
            "- - - - | please help me, on the day of laundry and at siesta hour | - - monday night | "
            "request complaint | what is the kind of complaint, please?",
            "- - monday night | this burning trouble | rash - monday night | request staff | "
            "i only need the kind of specialist now.",
            "rash - monday night | somebody famous | rash nurse monday night | confirm | "
            "so the nurse sees you on monday night about the rash?",
            "rash nurse monday night | that is correct | rash nurse monday night | offer | "
            "the nurse expects you on monday.",
        ],
        [
            "- - - - | please help me, the cheerful one and on the day of shopping | - surgeon tuesday - | "
            "request complaint | what is the kind of complaint, please?",
            "- surgeon tuesday - | oh, a stubborn feeling | backache surgeon tuesday - | request time | "
            "what is the time of day, please?",
            "backache surgeon tuesday - | if possible when it is time for homework | "
            "backache surgeon tuesday evening | confirm | "
            "so the surgeon sees you on tuesday evening about the backache?",
        ],
        [
            "headache - friday afternoon | if possible somebody strict | headache therapist friday afternoon | "
            "confirm | you see our therapist about the headache, afternoon, friday, yes?",
            "cough dentist thursday - | oh, at siesta hour | cough dentist thursday night | confirm | "
            "so the dentist sees you on thursday night about the cough?",
        ],
    ]),
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_dialogues(name):
    """Word for word: whoever changes a world or the order of random draws changes every checkpoint and curve."""
    world = load_world(name)
    task = world.task("train", 0, 0)
    latents, parts = GOLDEN[world.name]
    assert (next(iter(task.lexicon.values())), task.order, task.persona) == latents
    found = [*task.dialogues(2), task.support(3), task.query(2)]
    assert [[shown(world, turn) for turn in part] for part in found] == parts
