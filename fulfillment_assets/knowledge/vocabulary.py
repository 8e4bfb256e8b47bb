"""Words of the trade that mean the same, for the embedder that knows no meanings of its own.

General vocabulary of orders, freight, payments and customer service. Each line is one idea; words
match by their stem, and phrases of several words as they stand.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping
from typing import Final

_IDEAS: Final = """
refund: refund reimburse repay repayment "money back" "pay back" "paid back"
refund: "give back" "given back"
credit: credit voucher coupon goodwill gift "store credit" gesture
compensate: compensation compensate amends indemnify redress "make up for" "make good"
pay: pay payment paid payout money cash funds account bank
card: card iban pin password account
amount: amount sum dollar usd value figure
price: price cost worth expensive cheap
fee: fee surcharge extra upgrade
percent: percent percentage share proportion fraction rate
limit: limit maximum max cap ceiling most "at most" "no more than" "up to" largest biggest highest
minimum: minimum min least "at least" floor smallest lowest
approve: approve approval authorise authorize permission permit "sign off" "signs off" "green light"
refuse: refuse reject decline deny forbid prohibit ban banned disallow "turn down" "not allowed"
late: late delay overdue tardy behind belated miss slip "past due" hold-up
punctual: punctual punctuality "on time" "on schedule" timely reliable
lost: lost lose missing vanish disappear astray "never arrived" "not arrived" "gone astray"
deliver: deliver delivery arrive arrival receive "turn up" "show up" "turned up" "drop off" reach
transit: transit "on its way" "on the way" "under way" underway en-route shipped departed left gone
reschedule: reschedule postpone rebook rearrange "new date" "another date" "another day"
reschedule: "later date" "different day" "put off" "push back" "pushed back" "new delivery date"
date: date day appointment slot calendar
new: new replacement alternative fresh other another different
transfer: transfer move relocate reroute shift exchange redirect
warehouse: warehouse block building hall depot site facility hub "fulfilment centre" stockroom
flight: flight air plane airport fly flies flown aircraft airline airfreight
road: road truck lorry van haulage drive highway
sea: sea ship vessel boat ocean maritime port seaport quay barge river
weight: weight weigh heavy heavier heaviest gram grams kilo kilogram kg overweight bulky
carrier: carrier courier haulier forwarder "shipping company" "delivery company" transporter
parcel: parcel package packet box consignment shipment
goods: goods item product merchandise article
track: track scan trace locate whereabouts "where is" follow
search: search look find seek
customer: customer client buyer shopper purchaser consumer
tier: tier loyalty loyal regular gold silver standard vip membership
urgent: urgent critical priority immediate emergency severe serious pressing
human: human person people manager supervisor colleague staff team somebody someone director boss
escalate: escalate escalation "take over" "takes over" "hand over" "hand off" handover
duty: duty on-call "on call" shift staffed rota standby
apologise: apologise apologize apology sorry regret
message: message email e-mail mail sms write notify notification notice contact letter inform
tell: tell told hear say inform explain mention
sms: sms text texting
optout: unsubscribe "opt out" "opted out" opt-out consent stop "leave alone" "no messages"
night: night quiet midnight evening nightly overnight asleep morning
language: language translate tongue speak english german french spanish italian polish dutch chinese
wording: word wording phrase say tone expression formulate sentence
blame: blame fault guilty responsible responsibility
record: record log history document enter logged protocol ledger
note: note comment remark annotation field
privacy: personal private privacy confidential identify gdpr sensitive
internal: internal probability model margin prediction predict forecast score
fast: fast quick swift express speed rapid hurry quickly accelerate
cutoff: cut-off cutoff deadline
capacity: capacity full room space intake accommodate absorb "take in" "takes in" accept
weather: weather storm snow blizzard flood wind hurricane ice rain heat thunderstorm
force: strike customs border force-majeure walkout
safety: safety recall danger dangerous unsafe hazard hazardous fire warn warning injury
fraud: manipulation injection trick fraud deceive tamper manipulate
ignore: ignore disregard override bypass overrule skip
expire: expire expiry validity lapse valid "run out"
again: twice second again double repeat repeated duplicate "once more" "one more" additional further
times: times often frequently frequency
unpaid: pending unpaid outstanding unsettled "not paid" "not yet paid"
cancel: cancel cancelled "called off" abort
status: status state stage
dispatch: dispatch pick picking pack prepare handle process processing release
damage: damage damaged broken defective
claim: claim demand request ask
queue: queue desk department
ticket: ticket case incident issue
respond: respond response answer reply react reaction
measure: measure option step action remedy choice alternative
attempt: attempt try tried fail failed failure
conflict: contradict disagree conflict
duration: hour minute day week long duration
closed: closed finished completed done
unsure: unsure confident confidence doubt uncertain sure certain
lawyer: lawyer attorney legal court sue press journalist media newspaper regulator
template: template boilerplate sample draft
receipt: confirmation confirm receipt proof
partner: partner neighbour sister
season: holiday weekend sunday saturday august season peak
stocktaking: stocktaking inventory stock-take
battery: battery lithium liquid
cold: cold chilled refrigerate food perishable cosmetics
complain: complain complaint angry upset unhappy dissatisfied furious rating
threat: threaten threat menace
name: name salutation greet greeting dear title
"""


@functools.cache
def ideas() -> Mapping[str, tuple[str, ...]]:
    """Each word or phrase with the ideas that it stands for."""
    found: dict[str, tuple[str, ...]] = {}
    for line in _IDEAS.strip().splitlines():
        idea, _, words = line.partition(":")
        for word in shlex.split(words):
            found[word] = (*found.get(word, ()), idea)
    return found
