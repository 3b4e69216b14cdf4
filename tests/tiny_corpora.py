"""Writes tiny corpora in their official layouts, with words that only one task has, so that leaks show."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

Files = dict[str, Any]  # name -> what to dump as JSON, or a text


def write(folder: Path, files: Files) -> Path:
    """The files in a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text(content), encoding="utf-8")
    return folder


def write_zip(path: Path, files: Files, below: str = "") -> Path:
    """The files in an archive, all below one folder if wanted."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(below + name, as_text(content))
    return path


def as_text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def secret(task: str) -> str:
    """A word that stands in this task's dialogues alone."""
    return "z" + "".join(chr(ord("a") + ord(sign) % 26) for sign in task) + "q"


def _frame(service: str, **more: Any) -> dict[str, Any]:
    return {"service": service, "slots": [], **more}


def sgd_dialogue(number: int, service: str, turns: int = 5, also: str = "") -> dict[str, Any]:
    """One dialogue; with ``also`` its last exchange is about another service."""
    said = []
    for turn in range(turns):
        where = also if also and turn == turns - 1 else service
        slots = {"party_size": ["2", "two"]} | ({"city": [f"city{number}", f"town{number}"]} if turn else {})
        said += [
            {"speaker": "USER", "utterance": f"I want {secret(where)} for two, please. Number {number}, turn {turn}.",
             "frames": [_frame(where, actions=[], state={
                 "active_intent": "Find", "requested_slots": [], "slot_values": slots})]},
            {"speaker": "SYSTEM", "utterance": f"Where do you want {secret(where)}? I offer Cafe {turn}.",
             "frames": [_frame(where, actions=[
                 {"act": "REQUEST", "slot": "city", "values": [], "canonical_values": []},
                 {"act": "OFFER", "slot": "restaurant_name", "values": [f"Cafe {turn}"], "canonical_values": []}])]},
        ]
    services = [service, *([also] if also else [])]
    return {"dialogue_id": f"{service}_{number:05d}", "services": services, "turns": said}


def _schema(services: list[str]) -> list[dict[str, Any]]:
    slots = [{"name": "city", "is_categorical": False, "possible_values": []},
             {"name": "party_size", "is_categorical": True, "possible_values": ["1", "2"]}]
    return [{"service_name": name, "description": "", "slots": slots, "intents": []} for name in services]


def sgd(dialogues: int = 8, turns: int = 6) -> Files:
    """Train has services A to D, dev has A and E, test has B, E, F and G."""
    parts = {"train": "ABCD", "dev": "AEH", "test": "BEFG"}
    files: Files = {}
    for part, letters in parts.items():
        names = [f"Service{letter}_1" for letter in letters]
        files[f"{part}/schema.json"] = _schema(names)
        first = {"train": 0, "dev": 100, "test": 200}[part]
        found = [sgd_dialogue(first + i, name, turns) for name in names for i in range(dialogues)]
        files[f"{part}/dialogues_001.json"] = found[::2]
        files[f"{part}/dialogues_002.json"] = found[1::2]
    return files


MULTIWOZ = ("attraction", "hotel", "restaurant", "taxi", "train")


def multiwoz_log(number: int, domain: str, turns: int = 6) -> dict[str, Any]:
    """One dialogue of MultiWOZ 2.1."""
    log = []
    for turn in range(turns):
        semi = {"area": "north" if turn else "", "name": "not mentioned", "type": "none",
                "leaveAt": "dont care" if turn > 1 else "", "food": "thai|british" if turn > 2 else ""}
        metadata = {name: {"semi": dict.fromkeys(semi, ""), "book": {"booked": [], "people": ""}} for name in MULTIWOZ}
        metadata[domain] = {"semi": semi, "book": {"booked": [{"name": "x"}], "people": "2"}}
        title = domain.title()
        log += [
            {"text": f"I look for {secret(domain)} number {number} .", "metadata": {}, "span_info": [],
             "dialog_act": {f"{title}-Inform": [["Area", "north"]]}},
            {"text": f"The Gonville is {secret(domain)} . Book it ?", "metadata": metadata, "span_info": [],
             "dialog_act": {f"{title}-Inform": [["Name", "The Gonville"]], "general-reqmore": [["none", "none"]]}},
        ]
    return {"goal": {domain: {"info": {}}}, "log": log}


def multiwoz21(dialogues: int = 9) -> Files:
    """``data.json`` and its lists."""
    data = {f"{domain[:3].upper()}{i:04d}.json": multiwoz_log(i, domain)
            for domain in MULTIWOZ for i in range(dialogues)}
    return {"data.json": data, "valListFile.txt": "ATT0000.json\n", "testListFile.txt": "ATT0001.json\n"}


def multiwoz22(dialogues: int = 9) -> Files:
    """The same dialogues as MultiWOZ 2.2 has them."""
    parts: dict[str, list[Any]] = {"train": [], "dev": [], "test": []}
    acts: dict[str, Any] = {}
    for domain in MULTIWOZ:
        for i in range(dialogues):
            key = f"{domain[:3].upper()}{i:04d}.json"
            log = multiwoz_log(i, domain)["log"]
            turns, acts[key] = [], {}
            for place, said in enumerate(log):
                frames = []
                if place % 2 == 0:
                    later = log[place + 1]["metadata"][domain]
                    slots = {f"{domain}-{slot.lower()}": value.split("|") for slot, value in later["semi"].items()
                             if value not in ("", "not mentioned", "none")}
                    slots[f"{domain}-bookpeople"] = ["2"]
                    frames = [_frame(name, actions=[], state={"active_intent": "NONE", "requested_slots": [],
                              "slot_values": slots if name == domain else {}}) for name in MULTIWOZ]
                turns.append({"turn_id": str(place), "speaker": "SYSTEM" if place % 2 else "USER",
                              "utterance": said["text"], "frames": frames})
                acts[key][str(place)] = {"dialog_act": said["dialog_act"], "span_info": []}
            part = ("train", "train", "dev", "test")[i % 4]
            parts[part].append({"dialogue_id": key, "services": [domain], "turns": turns})
    return {"schema.json": _schema(list(MULTIWOZ)), "dialog_acts.json": acts,
            **{f"{part}/dialogues_001.json": found for part, found in parts.items()}}


CROSSWOZ = ("景点", "餐馆", "酒店", "地铁", "出租")


def crosswoz_dialogue(number: int, domains: tuple[str, ...], turns: int = 6) -> dict[str, Any]:
    """One dialogue of CrossWOZ; every combination has a sign of its own."""
    own = chr(0x4E00 + 50 * sum(3**CROSSWOZ.index(domain) for domain in domains))
    messages = []
    for turn in range(turns):
        good = {domain: "4.5分以上" if turn and domain in domains else "" for domain in CROSSWOZ}
        init = {domain: {"名称": "", "评分": good[domain], "selectedResults": ["某某"]} for domain in CROSSWOZ}
        state = {domain: {**slots, "名称": "结果"} for domain, slots in init.items()}
        messages += [
            {"role": "usr", "content": f"你好，我想找{own}{own}。第{number}个。", "dialog_act": [], "user_state": []},
            {"role": "sys", "content": f"推荐外婆家{own}。还要别的吗？", "sys_state": state, "sys_state_init": init,
             "dialog_act": [["Recommend", domains[0], "名称", "外婆家"], ["General", "welcome", "none", "none"]]},
        ]
    goal = [[i + 1, domain, "名称", "", False] for i, domain in enumerate(domains)]
    return {"sys-usr": [1, 2], "goal": goal, "messages": messages, "final_goal": [], "type": "单领域"}


def crosswoz(dialogues: int = 9) -> Files:
    """Train, val and test; tasks are the single domains and two pairs."""
    combinations = [*((domain,) for domain in CROSSWOZ), CROSSWOZ[:2], CROSSWOZ[1:3]]
    files: Files = {"train.json": {}, "val.json": {}, "test.json": {}}
    for place, domains in enumerate(combinations):
        for i in range(dialogues):
            part = ("train.json", "train.json", "val.json", "test.json")[i % 4]
            files[part][str(1000 * place + i)] = crosswoz_dialogue(i, domains)
    return files


def personachat(personas: int = 16, dialogues: int = 6, turns: int = 7) -> Files:
    """Two persons a conversation, each conversation from both sides; the last quarter of the personas is in valid."""
    files: Files = {}
    names = [f"p{number}" for number in range(personas)]
    for part, group in (("train", names[: personas * 3 // 4]), ("valid", names[personas * 3 // 4 :])):
        text = ""
        for place, left in enumerate(group):
            for number in range(dialogues):
                right = group[(place + 1 + number % (len(group) - 1)) % len(group)]
                a = [f"hi , i am {secret(left)} , talk {number} , {turn} ." for turn in range(turns)]
                b = [f"hello {left} , i like {secret(right)} , talk {number} , {turn} ." for turn in range(turns)]
                text += _side(right, list(zip(a, b))) + _side(left, list(zip(["__SILENCE__", *b], a)))
        files[f"{part}_self_original.txt"] = text
    return files


def _side(who: str, pairs: list[tuple[str, str]]) -> str:
    lines = [f"your persona: i am {secret(who)} .", f"your persona: my name is {who} ."]
    lines += [f"{user}\t{response}\t\tno|{response}" for user, response in pairs]
    return "".join(f"{i} {line}\n" for i, line in enumerate(lines, 1))


LAYOUTS = {"sgd": sgd, "multiwoz": multiwoz21, "crosswoz": crosswoz, "personachat": personachat}
